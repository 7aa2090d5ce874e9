import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { sandboxConfig } from "../../functions/local/sandbox/first-rollout.ts";
import { type Sandbox, startSandbox } from "../../functions/local/sandbox/sandbox.ts";
import { systemClock } from "../../shared/clock.ts";
import { embeddedLedger } from "../../shared/ledger/embedded.ts";
import type { Ledger } from "../../shared/ledger/ledger.ts";
import { nodeEnvironment } from "../node-environment.ts";
import { type PubsubProject, type PubsubTopic, pubsubProject } from "./pubsub-emulator.ts";

const root = join(import.meta.dirname, "../..");
const hookSecret = "correct-horse-battery-staple";

/** One process of a Landfall in parts. */
interface Part {
  readonly url: string;
  log(): string;
  /** @returns the exit code */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

let folder: string;
let project: PubsubProject;
let topic: PubsubTopic;
let sandbox: Sandbox;
let webhook: Part | undefined;
let builds: Part | undefined;
let ledger: Ledger;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "landfall-split-"));
  project = pubsubProject();
  topic = await project.createTopic("landfall");
  sandbox = await startSandbox({
    clock: systemClock,
    registryPort: 0,
    notify: () => webhook && `${webhook.url}/hooks/distribution/${hookSecret}`,
  });
  await writeFile(join(folder, "landfall.yaml"), sandboxConfig(sandbox, hookSecret));
  ledger = embeddedLedger(join(folder, "ledger.db"), systemClock);
});

afterEach(async () => {
  await webhook?.end("SIGKILL");
  await builds?.end("SIGKILL");
  [webhook, builds] = [undefined, undefined];
  await sandbox.stop();
  await ledger.close();
  await rm(folder, { recursive: true, force: true });
});

const startWebhook = () => start("webhook", { LANDFALL_BUS: "pubsub:landfall", LANDFALL_LEDGER: "" });
const startBuilds = () =>
  start("builds,reconcile", {
    LANDFALL_BUS: "pubsub-pull:landfall-builds",
    LANDFALL_LEDGER: `file:${join(folder, "ledger.db")}`,
  });

describe("a Landfall in two parts, with Pub/Sub between", () => {
  it("rolls out what is pushed", async () => {
    [webhook, builds] = await Promise.all([startWebhook(), startBuilds()]);
    const digest = sandbox.push();
    await deployed(digest);
    expect((await ledger.rollouts({}, 10)).map(({ value }) => value.state)).toEqual([
      "succeeded",
      "succeeded",
    ]);

    const again = sandbox.push();
    await deployed(again);
    expect(await ledger.rollouts({}, 10)).toHaveLength(4);
  });

  it("rolls out what was pushed while nobody pulled", async () => {
    webhook = await startWebhook();
    const digest = sandbox.push();
    await until("the push is accepted", async () => /push accepted/.test(webhook?.log() ?? ""));
    builds = await startBuilds();
    await deployed(digest);
  });

  it("goes on with a rollout in another process after a signal to stop", async () => {
    [webhook, builds] = await Promise.all([startWebhook(), startBuilds()]);
    const digest = sandbox.push();
    await until("a rollout is open", async () => (await ledger.workloads()).some(({ value }) => value.open));
    expect(await builds.end("SIGTERM")).toBe(0);
    builds = await startBuilds();
    await deployed(digest);
    expect(await ledger.rollouts({}, 10)).toHaveLength(2);
  });

  it("sets a message that nobody can use aside, on record, with the reason, and once", async () => {
    builds = await startBuilds();
    const messages = [{ data: Buffer.from("{ ünï").toString("base64"), attributes: { origin: "ci" } }];
    const published = (await project.call("POST", `${topic.topic}:publish`, { messages })) as {
      readonly messageIds: readonly string[];
    };
    const id = `undecodable-${published.messageIds[0]}`;
    await until("it is on record", async () => (await ledger.get("events", id)) !== undefined);
    expect(await ledger.get("events", id)).toMatchObject({
      value: { state: "done", outcome: "undecodable" },
    });
    const pulled = (await project.call("POST", `${topic.deadLetters}:pull`, { maxMessages: 10 })) as {
      readonly receivedMessages: readonly { readonly message: { readonly data: string } }[];
    };
    expect(pulled.receivedMessages.map(({ message }) => message)).toMatchObject([
      {
        data: messages[0]?.data,
        attributes: { origin: "ci", LandfallDeadLetterReason: "its data is no base64 of JSON" },
      },
    ]);
    expect(await builds.end("SIGTERM")).toBe(0);
    const left = await project.call("POST", `${topic.subscription}:pull`, {
      maxMessages: 1,
      returnImmediately: true,
    });
    expect(left).toEqual({});
  });

  it("answers on the port of the part behind the firewall nothing but that it is well", async () => {
    builds = await startBuilds();
    const { url } = builds;
    const status = async (method: string, path: string) => (await fetch(`${url}${path}`, { method })).status;
    const health = await fetch(`${url}/health`);
    expect(health.status).toBe(200);
    expect(await health.json()).toMatchObject({ status: "ok", functions: ["builds", "reconcile"] });
    const paths = ["/", "/events", "/reconcile", "/SmartRedeploy", `/hooks/distribution/${hookSecret}`];
    expect(await Promise.all(paths.map((path) => status("POST", path)))).toEqual(paths.map(() => 404));
  });

  it("keeps no ledger beside the webhook", async () => {
    webhook = await startWebhook();
    sandbox.push();
    await until("the push is accepted", async () => /push accepted/.test(webhook?.log() ?? ""));
    expect((await fetch(`${webhook.url}/events`, { method: "POST", body: "{}" })).status).toBe(404);
    expect((await fetch(`${webhook.url}/reconcile`, { method: "POST" })).status).toBe(404);
    expect(await ledger.events({ nowMs: Date.now() }, 10)).toEqual([]);
  });
});

async function start(only: string, env: Readonly<Record<string, string>>): Promise<Part> {
  const child = spawn(process.execPath, [join(root, "functions/local/main.ts"), "--only", only], {
    cwd: folder,
    env: {
      ...nodeEnvironment(),
      METADATA_SERVER_DETECTION: "none",
      GOOGLE_CLOUD_PROJECT: project.project,
      PUBSUB_EMULATOR_HOST: project.host,
      LANDFALL_CONFIG: join(folder, "landfall.yaml"),
      PORT: "0",
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
    });
  }
  const part = { log: () => printed, end: (signal: NodeJS.Signals) => endOf(child, signal) };
  await until(`${only} listens`, async () => {
    if (child.exitCode !== null) throw new Error(`${only} did not start:\n${printed}`);
    return /listens on/.test(printed);
  });
  const port = /listens on http:\/\/[^:\s]+:(\d+)/.exec(printed)?.[1];
  return { ...part, url: `http://127.0.0.1:${port}` };
}

async function endOf(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }
  return child.exitCode;
}

/** Every service of the sandbox runs the digest, and nothing is open. */
async function deployed(digest: string): Promise<void> {
  await until(`${digest} is rolled out`, async () => {
    const workloads = (await ledger.workloads()).map(({ value }) => value);
    const there = workloads.filter(
      ({ deployed = {}, open }) => open === undefined && Object.values<string>(deployed).includes(digest),
    );
    return there.length === sandbox.services;
  });
}

async function until(what: string, met: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 40_000; Date.now() < deadline; await pause(50)) {
    if (await met()) return;
  }
  throw new Error(`not within 40 s: ${what}\n${webhook?.log() ?? ""}\n${builds?.log() ?? ""}`);
}
