import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { sandboxConfig } from "../../functions/local/sandbox/first-rollout.ts";
import { type Sandbox, startSandbox } from "../../functions/local/sandbox/sandbox.ts";
import { systemClock } from "../../shared/clock.ts";
import type { Digest } from "../../shared/domain/reference.ts";
import type { Ledger } from "../../shared/ledger/ledger.ts";
import { type Built, buildAll, install, type Served, serve } from "../bundles/built.ts";
import { distributionDelivery } from "../deliveries.ts";
import { firestoreProject } from "./firestore-emulator.ts";
import { type PubsubProject, type PubsubTopic, pubsubProject } from "./pubsub-emulator.ts";

const hookSecret = "a-secret-that-the-registry-knows";
const token = "a-token-that-the-scheduler-knows";
const patient = { timeout: 90_000, interval: 100 };
const testMs = 150_000;

let built: Built;
let sandbox: Sandbox;
let pubsub: PubsubProject;
let topic: PubsubTopic;
let ledger: Ledger;
let env: Readonly<Record<string, string>>;
let webhook: Served;
let builds: Served;
let reconcile: Served;

beforeAll(async () => {
  const firestore = firestoreProject();
  pubsub = pubsubProject();
  ledger = firestore.ledger();
  built = await buildAll();
  await install(built);
  // What is pushed is reported by the tests, as often as they like.
  sandbox = await startSandbox({ clock: systemClock, registryPort: 0, notify: () => undefined });
  const configPath = join(built.folder, "landfall.yaml");
  const auth = 'reconcile: { auth: [{ kind: bearer, token: "${RECONCILE_TOKEN}" }] }\n';
  await writeFile(configPath, `${sandboxConfig(sandbox, hookSecret)}${auth}`);
  env = {
    LANDFALL_CONFIG: configPath,
    LANDFALL_LEDGER: `firestore:${firestore.project}`,
    LANDFALL_BUS: `pubsub:projects/${pubsub.project}/topics/landfall`,
    FIRESTORE_EMULATOR_HOST: firestore.host,
    PUBSUB_EMULATOR_HOST: pubsub.host,
    METADATA_SERVER_DETECTION: "none",
    RECONCILE_TOKEN: token,
  };
  [webhook, builds, reconcile] = await Promise.all([
    serve(built, "webhook", env),
    serve(built, "builds", env),
    serve(built, "reconcile", env),
  ]);
  topic = await pubsub.createTopic("landfall", {
    ackDeadlineSeconds: 600,
    maxDeliveryAttempts: 50,
    pushEndpoint: endpointOf(builds),
  });
}, testMs);

afterAll(async () => {
  await Promise.all([webhook, builds, reconcile].map((served) => served?.stop("SIGKILL")));
  await sandbox?.stop();
  await ledger?.close();
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
        async () => expect(await ledger.get("events", event)).toMatchObject({ value: { state: "done" } }),
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
        const stored = await Promise.all(events.map((event) => ledger.get("events", event)));
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
      builds = await serve(built, "builds", env);
      await pubsub.call("POST", `${topic.subscription}:modifyPushConfig`, {
        pushConfig: { pushEndpoint: endpointOf(builds) },
      });
      await deployed(digest);
      expect(await statesOf(digest)).toEqual(["succeeded", "succeeded"]);
    },
    testMs,
  );

  it("sweep what is in Firestore", async () => {
    const answer = await fetch(`${reconcile.origin}/reconcile`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: '{"mode":"sweep"}',
    });
    expect([answer.status, reconcile.log()]).toEqual([200, expect.not.stringMatching(/"severity":"ERROR"/i)]);
  });
});

/** @returns what was being rolled out when builds stopped */
async function stopMidway(): Promise<Digest> {
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

/** As the Terraform module has Pub/Sub call it. */
function endpointOf({ origin }: Served): string {
  const topicName = `projects/${pubsub.project}/topics/landfall`;
  return `${origin}/?__GCP_CloudEventsMode=CUSTOM_PUBSUB_${encodeURIComponent(topicName)}`;
}

/** @returns the event's id */
async function deliver(digest: Digest): Promise<string> {
  const [repository = "", tag = ""] = sandbox.image.split(":");
  const push = { host: sandbox.registryHost, repository, tag, digest };
  const { path, headers, body } = distributionDelivery(hookSecret, [push]);
  const answer = await fetch(`${webhook.origin}${path}`, { method: "POST", headers, body });
  expect(answer.status).toBe(202);
  return ((await answer.json()) as { readonly event: string }).event;
}

/** Until every service runs the digest and no rollout is open. */
async function deployed(digest: Digest): Promise<void> {
  await vi.waitFor(async () => {
    const workloads = (await ledger.workloads()).map(({ value }) => value);
    const there = workloads.filter((each) => Object.values(each.deployed ?? {}).includes(digest));
    expect(
      [there.length, workloads.filter(({ open }) => open !== undefined).length],
      `${webhook.log()}${builds.log()}`,
    ).toEqual([sandbox.services, 0]);
  }, patient);
}

async function statesOf(digest: Digest): Promise<readonly string[]> {
  const rollouts = (await ledger.rollouts({}, 100)).map(({ value }) => value);
  return rollouts.filter(({ to }) => JSON.stringify(to).includes(digest)).map(({ state }) => state);
}
