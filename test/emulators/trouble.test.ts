import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { parse } from "yaml";
import { sandboxConfig } from "../../functions/local/sandbox/first-rollout.ts";
import { type Sandbox, startSandbox } from "../../functions/local/sandbox/sandbox.ts";
import { systemClock } from "../../shared/clock.ts";
import type { Digest } from "../../shared/domain/reference.ts";
import { type Built, buildAll, install } from "../bundles/built.ts";
import { distributionDelivery } from "../deliveries.ts";
import { type FaultyLine, faultyLine } from "../doubles/faulty-line.ts";
import { type BuiltLandfall, startBuiltLandfall } from "./built-landfall.ts";
import { firestoreProject } from "./firestore-emulator.ts";

/** One delivery of a message to builds, and what builds answered; `gone`: nobody did. */
interface Delivered {
  readonly data: string;
  readonly status: number | "gone";
}

const hookSecret = "a-secret-that-the-registry-knows";
const patient = { timeout: 120_000, interval: 200 };
const testMs = 200_000;

let built: Built;
let sandbox: Sandbox;
/** The way from builds to Firestore; everybody else has another one. */
let line: FaultyLine;
/** Stands before builds, whichever process that is. */
let front: Server;
let landfall: BuiltLandfall;
let delivered: Delivered[];

beforeAll(async () => {
  built = await buildAll();
  await install(built);
  sandbox = await startSandbox({ clock: systemClock, registryPort: 0, notify: () => undefined });
  line = await faultyLine(firestoreProject().host);
  delivered = [];
  front = createServer(async (request, response) => {
    const body = await buffer(request);
    const { message } = JSON.parse(body.toString()) as { readonly message: { readonly data?: string } };
    const data = Buffer.from(message.data ?? "", "base64").toString();
    const headers = { "content-type": "application/json" };
    const status = await fetch(`${landfall.builds.origin}${request.url}`, {
      method: "POST",
      headers,
      body,
    }).then(
      (answer) => answer.status,
      () => "gone" as const,
    );
    delivered.push({ data, status });
    response.writeHead(status === "gone" ? 502 : status).end();
  }).listen(0, "127.0.0.1");
  await once(front, "listening");
  const config = parse(sandboxConfig(sandbox, hookSecret));
  landfall = await startBuiltLandfall({
    built,
    config,
    builds: {
      config,
      env: { FIRESTORE_EMULATOR_HOST: line.host },
      calledThrough: `http://127.0.0.1:${(front.address() as AddressInfo).port}`,
    },
  });
}, testMs);

afterAll(async () => {
  await landfall?.remove();
  front?.close();
  front?.closeAllConnections();
  await line?.close();
  await sandbox?.stop();
  await built?.remove();
});

describe("a message that nobody can use", () => {
  it.each([
    { name: "words that are no JSON", data: "{ ünï", reason: "its data is no base64 of JSON" },
    { name: "a kind that is none", data: '{"kind":"reboot"}', reason: expect.stringMatching(/kind/) },
  ])(
    "is on record, set aside with the reason, and delivered once: $name",
    async ({ data, reason }) => {
      const { pubsub, topic, ledger } = landfall;
      const messages = [{ data: Buffer.from(data).toString("base64"), attributes: { origin: "ci" } }];
      const published = await pubsub.call("POST", `${topic.topic}:publish`, { messages });
      const [id] = (published as { readonly messageIds: readonly string[] }).messageIds;
      await vi.waitFor(async () => {
        const event = await ledger.get("events", `undecodable-${id}`);
        expect(event?.value).toMatchObject({ state: "done", outcome: "undecodable", detail: reason });
      }, patient);
      const pulled = await pubsub.call("POST", `${topic.deadLetters}:pull`, { maxMessages: 10 });
      const { receivedMessages: letters } = pulled as { readonly receivedMessages: readonly Letter[] };
      expect(letters.map(({ message }) => message)).toMatchObject([
        { data: messages[0]?.data, attributes: { origin: "ci", LandfallDeadLetterReason: reason } },
      ]);
      const ackIds = letters.map(({ ackId }) => ackId);
      await pubsub.call("POST", `${topic.deadLetters}:acknowledge`, { ackIds });
      await expectRolledOut(await push());
      expect(statusesOf(data)).toEqual([204]);
    },
    testMs,
  );
});

interface Letter {
  readonly ackId: string;
  readonly message: object;
}

describe.each([
  { name: "refuses connections", breaks: () => line.refuse() },
  { name: "does not answer", breaks: async () => line.hang() },
])("a Firestore that $name", ({ breaks }) => {
  afterEach(() => line.mend());

  it(
    "has a push delivered again until it is back, and rolled out once",
    async () => {
      await breaks();
      const { digest, event } = await push();
      await refused(event, 2);
      expect(await landfall.ledger.get("events", event)).toBeUndefined();
      await line.mend();
      await expectRolledOut({ digest, event });
      // The answer leaves builds after the rollout is on record.
      await vi.waitFor(() => expect(statusesOf(event).at(-1)).toBe(204), patient);
    },
    testMs,
  );

  it(
    "has what an instance left behind carried on when it is back, by the message that the instance sent",
    async () => {
      const { digest, event } = await push();
      await untilVerifying();
      expect(await landfall.builds.stop("SIGTERM")).toBe(0);
      await breaks();
      await landfall.startBuilds();
      await refused('"kind":"continue"', 2);
      await line.mend();
      await expectRolledOut({ digest, event });
    },
    testMs,
  );
});

describe("builds that is killed in the middle of a rollout", () => {
  it(
    "leaves nothing that its successor and the sweep of the minute do not bring to its end",
    async () => {
      const { digest, event } = await push();
      await untilVerifying();
      expect(await landfall.builds.stop("SIGKILL")).toBe("SIGKILL");
      await vi.waitFor(() => expect(statusesOf(event)).toContain("gone"), patient);
      await landfall.startBuilds();
      await expectRolledOut({ digest, event }, async () => expect((await landfall.sweep()).status).toBe(200));
    },
    testMs,
  );
});

/** Pushes, and reports it as the registry does. */
async function push(): Promise<{ readonly digest: Digest; readonly event: string }> {
  const digest = sandbox.push();
  const [repository = "", tag = ""] = sandbox.image.split(":");
  const { path, headers, body } = distributionDelivery(hookSecret, [
    { host: sandbox.registryHost, repository, tag, digest },
  ]);
  const answer = await fetch(`${landfall.webhook.origin}${path}`, { method: "POST", headers, body });
  expect(answer.status).toBe(202);
  return { digest, event: ((await answer.json()) as { readonly event: string }).event };
}

/** What builds answered to each delivery of messages with these words in them. */
function statusesOf(words: string): readonly Delivered["status"][] {
  return delivered.filter(({ data }) => data.includes(words)).map(({ status }) => status);
}

/** Until builds has answered so many deliveries with an error. */
async function refused(words: string, times: number): Promise<void> {
  const before = statusesOf(words).length;
  await vi.waitFor(() => {
    const since = statusesOf(words).slice(before);
    expect(since.filter((status) => status === 500).length).toBeGreaterThanOrEqual(times);
  }, patient);
}

async function untilVerifying(): Promise<void> {
  await vi.waitFor(async () => {
    const open = (await landfall.ledger.workloads()).flatMap(({ value }) => value.open ?? []);
    expect(open.map(({ state }) => state)).toContain("verifying");
  }, patient);
}

/** Every service runs it by one rollout each, the event is done, and nothing is left. */
async function expectRolledOut(
  { digest, event }: { readonly digest: Digest; readonly event: string },
  meanwhile: () => Promise<void> = async () => {},
): Promise<void> {
  const { ledger } = landfall;
  await vi.waitFor(async () => {
    await meanwhile();
    expect(await ledger.due(Number.MAX_SAFE_INTEGER, 10), landfall.log()).toEqual([]);
    expect(await ledger.get("events", event)).toMatchObject({
      value: { state: "done", outcome: "observed" },
    });
  }, patient);
  const deployed = (await ledger.workloads()).flatMap(({ value }) => Object.values(value.deployed ?? {}));
  expect(deployed).toEqual(Array.from({ length: sandbox.services }, () => digest));
  const rollouts = (await ledger.rollouts({}, 100)).map(({ value }) => value);
  const states = rollouts.filter(({ to }) => JSON.stringify(to).includes(digest)).map(({ state }) => state);
  expect(states).toEqual(Array.from({ length: sandbox.services }, () => "succeeded"));
}
