import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { sandboxConfig } from "../../functions/local/sandbox/first-rollout.ts";
import { type Sandbox, startSandbox } from "../../functions/local/sandbox/sandbox.ts";
import { inlineBus } from "../../shared/bus/inline.ts";
import type { PubsubDelivery } from "../../shared/bus/subscriber.ts";
import { systemClock } from "../../shared/clock.ts";
import { embeddedLedger } from "../../shared/ledger/embedded.ts";
import { sendParts } from "../doubles/sender.ts";
import { type Built, buildAll, install, type Served, serve } from "./built.ts";

const hookSecret = "a-secret-that-the-registry-knows";
const token = "a-token-that-the-scheduler-knows";
const patienceMs = 20_000;

let built: Built;
let sandbox: Sandbox;
let webhook: Served;
let builds: Served;
let reconcile: Served;
let ledgerPath: string;

beforeAll(async () => {
  built = await buildAll();
  await install(built);
  // The sandbox pushes its first image before anybody listens.
  let hookUrl: string | undefined;
  sandbox = await startSandbox({ clock: systemClock, registryPort: 0, notify: () => hookUrl });
  const configPath = join(built.folder, "landfall.yaml");
  ledgerPath = join(built.folder, "ledger.db");
  const auth = 'reconcile: { auth: [{ kind: bearer, token: "${RECONCILE_TOKEN}" }] }\n';
  await writeFile(configPath, `${sandboxConfig(sandbox, hookSecret)}${auth}`);
  const env = {
    LANDFALL_CONFIG: configPath,
    LANDFALL_LEDGER: `file:${ledgerPath}`,
    RECONCILE_TOKEN: token,
  };
  [webhook, builds, reconcile] = await Promise.all([
    serve(built, "webhook", env),
    serve(built, "builds", env),
    serve(built, "reconcile", env),
  ]);
  hookUrl = `${webhook.origin}/hooks/distribution/${hookSecret}`;
}, 60_000);

afterAll(async () => {
  await Promise.all([webhook, builds, reconcile].map((served) => served?.stop("SIGKILL")));
  await sandbox?.stop();
  await built?.remove();
});

describe("the built folders, with nothing of the project around them", () => {
  it("bring a push from the registry to every container that runs its tag", async () => {
    const bus = inlineBus({ store: ledgerPath, clock: systemClock });
    const ledger = embeddedLedger(ledgerPath, systemClock);
    const delivering = bus.deliver(toBuilds, { pollMs: 50 });
    const digest = sandbox.push();
    await vi.waitFor(
      async () => {
        const workloads = (await ledger.workloads()).map(({ value }) => value);
        const there = workloads.filter(({ deployed }) => Object.values(deployed ?? {}).includes(digest));
        expect([there.length, workloads.filter(({ open }) => open !== undefined)]).toEqual([
          sandbox.services,
          [],
        ]);
      },
      { timeout: patienceMs, interval: 50 },
    );
    const rollouts = (await ledger.rollouts({}, 10)).map(({ value }) => value.state);
    expect(rollouts).toEqual(Array.from({ length: sandbox.services }, () => "succeeded"));
    await delivering.stop();
    await bus.close();
    await ledger.close();
  }, 40_000);

  it("sweep for a caller that proves itself, and for no other", async () => {
    const sweep = (authorization: string) =>
      fetch(`${reconcile.origin}/reconcile`, {
        method: "POST",
        headers: { authorization, "content-type": "application/json" },
        body: '{"mode":"sweep"}',
      });
    expect((await sweep(`Bearer ${token}`)).status).toBe(200);
    expect((await sweep("Bearer another")).status).toBe(401);
  });

  it.each([
    { name: "webhook", served: () => webhook },
    { name: "reconcile", served: () => reconcile },
  ])("answer a path that $name does not have without waiting for the body", async ({ served }) => {
    const { port } = served();
    const body = { parts: [Buffer.from("{")], length: 100 * 1024 * 1024, unfinished: true };
    const headers = { "content-type": "application/json" };
    expect((await sendParts({ port, path: "/nowhere", headers, ...body })).status).toBe(404);
  });

  it.each([
    { name: "webhook", served: () => webhook },
    { name: "builds", served: () => builds },
    { name: "reconcile", served: () => reconcile },
  ])("end with 0 when $name is told to stop", async ({ served }) => {
    expect(await served().stop()).toBe(0);
  });
});

/** As Eventarc does it. */
async function toBuilds(delivery: PubsubDelivery): Promise<"ack" | "nack"> {
  const answer = await fetch(builds.origin, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "ce-specversion": "1.0",
      "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
      "ce-source": "//pubsub.googleapis.com/projects/local/topics/landfall",
      "ce-id": delivery.message.messageId,
    },
    body: JSON.stringify(delivery),
  });
  return answer.ok ? "ack" : "nack";
}
