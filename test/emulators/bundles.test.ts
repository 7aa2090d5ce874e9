import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { parse } from "yaml";
import { sandboxConfig } from "../../functions/local/sandbox/first-rollout.ts";
import { type Sandbox, startSandbox } from "../../functions/local/sandbox/sandbox.ts";
import { systemClock } from "../../shared/clock.ts";
import type { Digest } from "../../shared/domain/reference.ts";
import { type Built, buildAll, install } from "../bundles/built.ts";
import { distributionDelivery } from "../deliveries.ts";
import { type BuiltLandfall, startBuiltLandfall } from "./built-landfall.ts";

const hookSecret = "a-secret-that-the-registry-knows";
const patient = { timeout: 90_000, interval: 100 };
const testMs = 150_000;

let built: Built;
let sandbox: Sandbox;
let landfall: BuiltLandfall;

beforeAll(async () => {
  built = await buildAll();
  await install(built);
  // What is pushed is reported by the tests, as often as they like.
  sandbox = await startSandbox({ clock: systemClock, registryPort: 0, notify: () => undefined });
  landfall = await startBuiltLandfall({ built, config: parse(sandboxConfig(sandbox, hookSecret)) });
}, testMs);

afterAll(async () => {
  await landfall?.remove();
  await sandbox?.stop();
  await built?.remove();
});

describe("the built folders, with Firestore and Pub/Sub between them", () => {
  it(
    "bring a push to every container that runs its tag",
    async () => {
      const digest = sandbox.push();
      const event = await deliver(digest);
      await deployed(digest);
      expect(await statesOf(digest)).toEqual(["succeeded", "succeeded"]);
      await vi.waitFor(
        async () =>
          expect(await landfall.ledger.get("events", event)).toMatchObject({ value: { state: "done" } }),
        patient,
      );
    },
    testMs,
  );

  it(
    "roll out once what is delivered twice",
    async () => {
      const digest = sandbox.push();
      const events = await Promise.all([deliver(digest), deliver(digest)]);
      expect(new Set(events).size).toBe(2);
      await vi.waitFor(async () => {
        const stored = await Promise.all(events.map((event) => landfall.ledger.get("events", event)));
        expect(stored.map((each) => each?.value.state)).toEqual(["done", "done"]);
      }, patient);
      await deployed(digest);
      expect(await statesOf(digest)).toEqual(["succeeded", "succeeded"]);
    },
    testMs,
  );

  it(
    "go on by Pub/Sub's own deliveries after builds was told to stop in the middle of a rollout",
    async () => {
      const digest = await stopMidway();
      await landfall.startBuilds();
      await deployed(digest);
      expect(await statesOf(digest)).toEqual(["succeeded", "succeeded"]);
    },
    testMs,
  );

  it("sweep what is in Firestore", async () => {
    const answer = await landfall.sweep();
    expect([answer.status, landfall.reconcile.log()]).toEqual([
      200,
      expect.not.stringMatching(/"severity":"ERROR"/i),
    ]);
  });
});

/** @returns what was being rolled out when builds stopped */
async function stopMidway(): Promise<Digest> {
  const { ledger, builds } = landfall;
  const digest = sandbox.push();
  await deliver(digest);
  await vi.waitFor(async () => {
    const open = (await ledger.workloads()).flatMap(({ value }) => value.open ?? []);
    expect(open.map(({ state }) => state)).toContain("verifying");
  }, patient);
  expect(await builds.stop()).toBe(0);
  expect((await ledger.workloads()).some(({ value }) => value.open !== undefined)).toBe(true);
  return digest;
}

/** @returns the event's id */
async function deliver(digest: Digest): Promise<string> {
  const [repository = "", tag = ""] = sandbox.image.split(":");
  const push = { host: sandbox.registryHost, repository, tag, digest };
  const { path, headers, body } = distributionDelivery(hookSecret, [push]);
  const answer = await fetch(`${landfall.webhook.origin}${path}`, { method: "POST", headers, body });
  expect(answer.status).toBe(202);
  return ((await answer.json()) as { readonly event: string }).event;
}

/** Until every service runs the digest and no rollout is open. */
async function deployed(digest: Digest): Promise<void> {
  await vi.waitFor(async () => {
    const workloads = (await landfall.ledger.workloads()).map(({ value }) => value);
    const there = workloads.filter((each) => Object.values(each.deployed ?? {}).includes(digest));
    expect([there.length, workloads.filter(({ open }) => open !== undefined).length], landfall.log()).toEqual(
      [sandbox.services, 0],
    );
  }, patient);
}

async function statesOf(digest: Digest): Promise<readonly string[]> {
  const rollouts = (await landfall.ledger.rollouts({}, 100)).map(({ value }) => value);
  return rollouts.filter(({ to }) => JSON.stringify(to).includes(digest)).map(({ state }) => state);
}
