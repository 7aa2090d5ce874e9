import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { buildFunction } from "../../infra/build/build-function.ts";
import { bundle, functionNames } from "../../infra/build/bundle.ts";
import { sizesOf } from "../../infra/build/contents.ts";
import { dockerhubDelivery, type SampleDelivery } from "../deliveries.ts";
import type { DeployedFunction } from "./framework.ts";

/** The functions that are measured, each with a request that it answers, and the empty one that they stand beside. */
export interface Functions {
  readonly empty: DeployedFunction;
  /** A bus that accepts at once. */
  readonly webhook: DeployedFunction;
  /** As it ships, with the embedded bus: each push is on the disk before it is answered. */
  readonly embeddedWebhook: DeployedFunction;
  /** A message that asks for one read of the ledger. */
  readonly builds: DeployedFunction;
  /** A sweep that finds nothing. */
  readonly reconcile: DeployedFunction;
}

const secret = "2b7e151628aed2a6abf7158809cf4f3c";
const config = `
follow: ["docker.io/acme/*"]
webhooks:
  - { source: dockerhub, secrets: ["\${DOCKERHUB_HOOK_SECRET}"] }
  - { source: distribution, secrets: ["\${REGISTRY_HOOK_SECRET}"], repositories: ["registry.acme.io/*"] }
targets:
  - { name: swarm, kind: swarm, host: "unix:///nowhere/docker.sock" }
reconcile: { auth: [ { kind: bearer, token: "\${RECONCILE_TOKEN}" } ] }
`;

/** Builds all of them into a folder: what is measured is what is deployed, and the empty function is bundled alike. */
export async function functionsIn(folder: string): Promise<Functions> {
  const built = (name: string) => pathToFileURL(join(folder, name, "index.js"));
  for (const name of functionNames) await buildFunction(name, join(folder, name));
  await bundle("test/bench/processes/webhook-function.ts", join(folder, "accepting"));
  await bundle("test/bench/processes/empty-function.ts", join(folder, "empty"));
  const file = join(folder, "landfall.yaml");
  writeFileSync(file, config);
  const env = {
    LANDFALL_CONFIG: file,
    LANDFALL_LEDGER: `file:${join(folder, "functions.db")}`,
    DOCKERHUB_HOOK_SECRET: secret,
    REGISTRY_HOOK_SECRET: secret.toUpperCase(),
    RECONCILE_TOKEN: secret,
  };
  const push = dockerhubDelivery(secret);
  return {
    empty: {
      source: built("empty"),
      target: "empty",
      request: push,
      status: 204,
    },
    webhook: {
      source: built("accepting"),
      target: "webhook",
      env: { ...env, LANDFALL_LEDGER: "memory:" },
      request: push,
      status: 202,
    },
    embeddedWebhook: { source: built("webhook"), target: "webhook", env, request: push, status: 202 },
    builds: {
      source: built("builds"),
      target: "builds",
      env,
      request: messageRequest("1", { kind: "continue", workload: "swarm/nothing", seq: 1 }),
      status: 204,
    },
    reconcile: {
      source: built("reconcile"),
      target: "reconcile",
      env,
      request: {
        path: "/reconcile",
        headers: { "content-type": "application/json", authorization: `Bearer ${secret}` },
        body: '{"mode":"sweep"}',
      },
      status: 200,
    },
  };
}

/** A message of the bus, as Eventarc brings it to builds. */
export function messageRequest(messageId: string, message: object): SampleDelivery {
  const data = Buffer.from(JSON.stringify(message)).toString("base64");
  return {
    path: "/",
    headers: {
      "content-type": "application/json",
      "ce-specversion": "1.0",
      "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
      "ce-source": "//pubsub.googleapis.com/projects/local/topics/landfall",
      "ce-id": messageId,
    },
    body: JSON.stringify({ message: { data, messageId }, deliveryAttempt: 1 }),
  };
}

/** What each deployed function's bundle comes to, as a line. */
export async function sizesIn(folder: string): Promise<string> {
  const sizes = functionNames.map(async (name) => {
    const { startBytes, allBytes } = sizesOf(await buildFunction(name, join(folder, "sizes", name)));
    return `${name} ${Math.ceil(startBytes / 1024)} of ${Math.ceil(allBytes / 1024)}`;
  });
  return `bundles, KiB of JavaScript read at the start of all that can be loaded: ${(await Promise.all(sizes)).join(" · ")}`;
}

/** A folder on the disk that the ledger is on by default: the system's own temporary one may be in memory. */
export async function inFolder<T>(act: (folder: string) => Promise<T>): Promise<T> {
  mkdirSync(".landfall", { recursive: true });
  const folder = mkdtempSync(".landfall/bench-");
  try {
    return await act(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
