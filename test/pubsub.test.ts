import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Bus, Message } from "../shared/bus/bus.ts";
import type { PubsubName } from "../shared/bus/config.ts";
import { type PubsubOptions, pubsubBus } from "../shared/bus/pubsub.ts";
import type { Clock } from "../shared/clock.ts";
import { errorBody, type Google, startGoogle, type Trouble } from "./doubles/google.ts";

const topic = { project: "p", id: "landfall" };
const named = { project: undefined, id: "landfall" };
const flavor = { "metadata-flavor": "Google" };
const unavailable = { code: "BUS_UNAVAILABLE", retryable: true };

let google: Google;
let bus: Bus;
/** Of the clock that the bus waits on: sleeping makes it later at once. */
let nowMs: number;
/** What the bus waited before trying again. */
let waits: number[];

const clock: Clock = {
  now: () => nowMs,
  monotonic: () => nowMs,
  sleep: async (ms) => {
    waits.push(ms);
    nowMs += ms;
  },
};

function busWith(options: Partial<PubsubOptions> & { readonly topic?: PubsubName } = {}): Bus {
  return pubsubBus({
    topic,
    clock,
    project: undefined,
    emulatorHost: undefined,
    metadataHost: google.host,
    origin: `http://${google.host}`,
    random: () => 0.5,
    ...options,
  });
}

beforeEach(async () => {
  nowMs = 0;
  waits = [];
  google = await startGoogle();
  bus = busWith();
});
afterEach(async () => {
  await bus.close();
  await google.close();
});

describe("the Pub/Sub bus", () => {
  it("publishes a batch in one call, with the instance's own token", async () => {
    await bus.publish([message(1), message(2)]);
    expect(google.requests.map(({ to }) => to)).toEqual(["token", "pubsub"]);
    expect(google.requests[0]).toMatchObject({
      path: "/computeMetadata/v1/instance/service-accounts/default/token",
      headers: { "metadata-flavor": "Google" },
    });
    expect(google.requests[1]).toMatchObject({
      method: "POST",
      path: "/v1/projects/p/topics/landfall:publish",
      headers: { authorization: "Bearer token-1", "content-type": "application/json" },
      body: { messages: [{ data: base64(message(1)) }, { data: base64(message(2)) }] },
    });
  });

  it("asks for nothing when there is nothing to publish", async () => {
    await bus.publish([]);
    expect(google.requests).toEqual([]);
  });

  it("keeps its connections", async () => {
    for (let n = 0; n < 10; n++) await bus.publish([message(n)]);
    expect(google.connections()).toBe(1);
  });

  it("takes as many calls as Pub/Sub's limit of messages asks for", async () => {
    await bus.publish(Array.from({ length: 2_500 }, (_, n) => message(n)));
    expect(published().map((messages) => messages.length)).toEqual([1_000, 1_000, 500]);
    expect(published().flat().map(textOf)).toEqual(
      Array.from({ length: 2_500 }, (_, n) => JSON.stringify(message(n))),
    );
  });

  it("takes as many calls as Pub/Sub's limit of bytes asks for, one of its own for what is too large alone", async () => {
    const large = (megabytes: number): Message => ({
      kind: "continue",
      workload: `swarm/${"x".repeat(megabytes * 750_000)}`,
      seq: 1,
    });
    await bus.publish([large(4), large(4), large(4), large(12), large(1)]);
    expect(published().map((messages) => messages.length)).toEqual([2, 1, 1, 1]);
  });

  it("asks the metadata server once for the project of a topic named without one", async () => {
    await bus.close();
    bus = busWith({ topic: named });
    await bus.publish([message(1)]);
    await bus.publish([message(2)]);
    expect(google.requests.filter(({ to }) => to === "project")).toHaveLength(1);
    expect(google.requests.at(-1)?.path).toBe("/v1/projects/from-metadata/topics/landfall:publish");
  });

  it("takes the project from the environment before the metadata server's", async () => {
    await bus.close();
    bus = busWith({ topic: named, project: "from-environment" });
    await bus.publish([message(1)]);
    expect(google.requests.map(({ path }) => path)).toContain(
      "/v1/projects/from-environment/topics/landfall:publish",
    );
    expect(google.requests.some(({ to }) => to === "project")).toBe(false);
  });
});

describe("a token", () => {
  const asked = () => google.requests.filter(({ to }) => to === "token").length;

  it("is asked for once, also by publishers at the same time", async () => {
    await Promise.all([1, 2, 3].map((seq) => bus.publish([message(seq)])));
    await bus.publish([message(4)]);
    expect(asked()).toBe(1);
  });

  it("is used until five minutes before it ends", async () => {
    await bus.publish([message(1)]);
    nowMs = (3_599 - 300) * 1_000 - 1;
    await bus.publish([message(2)]);
    expect(asked()).toBe(1);
    nowMs += 1;
    await bus.publish([message(3)]);
    expect(asked()).toBe(2);
    expect(google.requests.at(-1)?.headers.authorization).toBe("Bearer token-2");
  });

  it("is used once when it has less left", async () => {
    google.lastsS = 200;
    await bus.publish([message(1)]);
    await bus.publish([message(2)]);
    expect(asked()).toBe(2);
  });

  it("is replaced when Pub/Sub refuses it, and the message goes out", async () => {
    await bus.publish([message(1)]);
    google.revoke();
    await bus.publish([message(2)]);
    expect(asked()).toBe(2);
    expect(published().flat().map(textOf)).toContain(JSON.stringify(message(2)));
    expect(waits).toEqual([0]);
  });

  it("is replaced once: a second refusal is told", async () => {
    const refusal = answer(401, errorBody(401, "UNAUTHENTICATED", "who are you?"));
    google.troubles.pubsub.push(refusal, refusal);
    await expect(bus.publish([message(1)])).rejects.toMatchObject({
      ...unavailable,
      message: "Pub/Sub answered 401 UNAUTHENTICATED: who are you?",
    });
    expect(asked()).toBe(2);
  });

  it("is asked for again after the metadata server was in trouble", async () => {
    google.troubles.token.push(answer(503, "", flavor), { kind: "break" });
    await bus.publish([message(1)]);
    expect(asked()).toBe(3);
  });

  it.each<{ name: string; trouble: Trouble; says: RegExp }>([
    {
      name: "no service account",
      trouble: answer(404, "", flavor),
      says: /answered 404.*no service account/,
    },
    { name: "no token in the answer", trouble: answer(200, "{}", flavor), says: /without a token/ },
    { name: "no JSON in the answer", trouble: answer(200, "<html>", flavor), says: /without a token/ },
    { name: "somebody else at its address", trouble: answer(200, "{}", {}), says: /is no metadata server/ },
    { name: "nobody who answers", trouble: { kind: "hang" }, says: /no answer within.*`pubsub-pull:`/ },
  ])("that cannot be had is told: $name", async ({ trouble, says }) => {
    await bus.close();
    bus = busWith({ attemptMs: 30 });
    google.troubles.token.push(...Array.from({ length: 20 }, () => trouble));
    await expect(bus.publish([message(1)])).rejects.toMatchObject({
      ...unavailable,
      message: expect.stringMatching(says),
    });
    expect(published()).toEqual([]);
  });
});

describe("Pub/Sub in trouble", () => {
  it.each<{ name: string; trouble: Trouble }>([
    { name: "429", trouble: answer(429, errorBody(429, "RESOURCE_EXHAUSTED", "quota")) },
    { name: "500", trouble: answer(500, "") },
    { name: "503", trouble: answer(503, errorBody(503, "UNAVAILABLE", "later")) },
    { name: "408", trouble: answer(408, "") },
    { name: "no answer", trouble: { kind: "hang" } },
    { name: "a connection that ends", trouble: { kind: "break" } },
    { name: "half an answer", trouble: { kind: "half" } },
    { name: "200 from somebody else", trouble: answer(200, "<html>Welcome to the hotel</html>") },
  ])("is tried again until it comes right: $name", async ({ trouble }) => {
    await bus.close();
    bus = busWith({ attemptMs: 100 });
    google.troubles.pubsub.push(trouble, trouble, trouble);
    await bus.publish([message(1)]);
    expect(google.requests.filter(({ to }) => to === "pubsub")).toHaveLength(4);
    expect(google.requests.at(-1)?.body).toEqual({ messages: [{ data: base64(message(1)) }] });
  });

  it.each<{ name: string; trouble: Trouble; says: RegExp }>([
    {
      name: "503",
      trouble: answer(503, errorBody(503, "UNAVAILABLE", "later")),
      says: /^Pub\/Sub answered 503 UNAVAILABLE: later$/,
    },
    {
      name: "no answer",
      trouble: { kind: "hang" },
      says: /^Pub\/Sub cannot be asked: no answer within 30 ms$/,
    },
    { name: "a connection that ends", trouble: { kind: "break" }, says: /^Pub\/Sub cannot be asked: / },
  ])("is told when it lasts: $name", async ({ trouble, says }) => {
    await bus.close();
    bus = busWith({ attemptMs: 30, totalMs: 9_000 });
    google.troubles.pubsub.push(...Array.from({ length: 20 }, () => trouble));
    const failed = bus.publish([message(1)]);
    await expect(failed).rejects.toMatchObject({ ...unavailable, message: expect.stringMatching(says) });
    expect(waits.reduce((sum, ms) => sum + ms, 0)).toBeLessThan(9_000);
    expect(waits.length).toBeGreaterThan(4);
  });

  it("waits longer each time, but not before the first retry of a broken connection", async () => {
    const broken: Trouble = { kind: "break" };
    google.troubles.pubsub.push(broken, broken, broken);
    await bus.publish([message(1)]);
    expect(waits).toEqual([0, 200, 400]);
  });

  it.each<{ name: string; status: number; body: string; says: string }>([
    {
      name: "no right to publish, and which one is missing",
      status: 403,
      body: errorBody(403, "PERMISSION_DENIED", "User not authorized to perform this action."),
      says: "Pub/Sub answered 403 PERMISSION_DENIED: User not authorized to perform this action.; it takes roles/pubsub.publisher on projects/p/topics/landfall",
    },
    {
      name: "no such topic",
      status: 404,
      body: errorBody(404, "NOT_FOUND", "Resource not found (resource=landfall)."),
      says: "Pub/Sub answered 404 NOT_FOUND: Resource not found (resource=landfall).; there is no projects/p/topics/landfall",
    },
    { name: "a refusal without words", status: 400, body: "<html>", says: "Pub/Sub answered 400" },
  ])("is told at once when trying again is of no use: $name", async ({ status, body, says }) => {
    google.troubles.pubsub.push(answer(status, body));
    await expect(bus.publish([message(1)])).rejects.toMatchObject({ ...unavailable, message: says });
    expect(google.requests.filter(({ to }) => to === "pubsub")).toHaveLength(1);
  });

  it("has taken no message that it names no id for", async () => {
    google.troubles.pubsub.push(answer(200, '{"messageIds":["1"]}'));
    await expect(bus.publish([message(1), message(2)])).rejects.toMatchObject(unavailable);
  });

  it("is told when nobody listens at its address", async () => {
    await bus.close();
    bus = busWith({ origin: "http://127.0.0.1:9" });
    await expect(bus.publish([message(1)])).rejects.toMatchObject({
      ...unavailable,
      message: expect.stringMatching(/ECONNREFUSED/),
    });
  });

  it("never has a token in what is told", async () => {
    google.troubles.pubsub.push(...Array.from({ length: 20 }, () => answer(503, "")));
    const failure: Error = await bus.publish([message(1)]).then(
      () => new Error("published"),
      (error) => error,
    );
    for (let at: unknown = failure; at instanceof Error; at = at.cause) {
      expect(`${at.message} ${JSON.stringify(at)} ${at.stack}`).not.toContain("token-1");
    }
  });
});

describe("a dead letter", () => {
  it("goes to the topic beside, with its own attributes and the reason", async () => {
    await bus.deadLetter("{ ünï", { origin: "ci" }, "no JSON");
    expect(google.requests.at(-1)).toMatchObject({
      path: "/v1/projects/p/topics/landfall-dead-letter:publish",
      body: {
        messages: [
          {
            data: Buffer.from("{ ünï").toString("base64"),
            attributes: { origin: "ci", LandfallDeadLetterReason: "no JSON" },
          },
        ],
      },
    });
  });

  it("stays within what Pub/Sub takes of attributes, or it would come back for ever", async () => {
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`key${n}`, String(n)]));
    await bus.deadLetter("", many, "ü€😀".repeat(500));
    const [{ attributes = {} } = {}] = published().at(-1) ?? [];
    expect(Object.keys(attributes)).toHaveLength(100);
    const reason = attributes.LandfallDeadLetterReason ?? "";
    expect(Buffer.byteLength(reason)).toBeGreaterThan(1_020);
    expect(Buffer.byteLength(reason)).toBeLessThanOrEqual(1_024);
    expect("ü€😀".repeat(500).startsWith(reason)).toBe(true);
  });
});

describe("with an emulator", () => {
  it("publishes there, without a token", async () => {
    await bus.close();
    bus = busWith({
      topic: named,
      project: "demo-p",
      emulatorHost: google.host,
      origin: "https://pubsub.googleapis.com",
    });
    google.troubles.pubsub.push(answer(200, '{"messageIds":["1"]}'));
    await bus.publish([message(1)]);
    expect(google.requests).toMatchObject([{ path: "/v1/projects/demo-p/topics/landfall:publish" }]);
    expect(google.requests[0]?.headers).not.toHaveProperty("authorization");
  });

  it("says that it needs a project", async () => {
    await bus.close();
    bus = busWith({ topic: named, emulatorHost: google.host });
    await expect(bus.publish([message(1)])).rejects.toMatchObject({
      ...unavailable,
      message: expect.stringContaining("GOOGLE_CLOUD_PROJECT"),
    });
  });
});

function answer(status: number, body: string, headers: Record<string, string> = {}): Trouble {
  return { kind: "answer", status, body, headers };
}

function message(seq: number): Message {
  return { kind: "continue", workload: "swarm/web", seq };
}

function base64(value: Message): string {
  return Buffer.from(JSON.stringify(value)).toString("base64");
}

interface PublishedMessage {
  readonly data: string;
  readonly attributes?: Readonly<Record<string, string>>;
}

/** The messages of each call of Pub/Sub, whatever came of it. */
function published(): readonly (readonly PublishedMessage[])[] {
  return google.requests
    .filter(({ to }) => to === "pubsub")
    .map(({ body }) => (body as { readonly messages: readonly PublishedMessage[] }).messages);
}

function textOf({ data }: PublishedMessage): string {
  return Buffer.from(data, "base64").toString("utf8");
}
