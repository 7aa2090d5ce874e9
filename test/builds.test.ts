import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type CloudEventFunction, cloudEvent } from "@google-cloud/functions-framework";
import { getTestServer } from "@google-cloud/functions-framework/testing";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createBuilds } from "../functions/builds.ts";
import { deliveryOf } from "../functions/pubsub-event.ts";
import { type Wiring, wire } from "../functions/wiring.ts";
import { systemClock } from "../shared/clock.ts";
import { loadConfig } from "../shared/config/load.ts";
import { LedgerUnavailableError } from "../shared/errors.ts";
import type { Delivery } from "../shared/flows/take.ts";
import { jsonLog } from "../shared/log.ts";

const base64 = (text: string) => Buffer.from(text).toString("base64");
const text = '{"kind":"continue","workload":"swarm/web","seq":1}';
const message = {
  data: base64(text),
  attributes: { origin: "ci" },
  messageId: "17",
  message_id: "17",
  publishTime: "2026-01-05T12:00:00.466Z",
  publish_time: "2026-01-05T12:00:00.466Z",
  orderingKey: "web",
};
const subscription = "projects/p/subscriptions/builds";
const binary = {
  "ce-id": "17",
  "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
  "ce-source": "//pubsub.googleapis.com/projects/p/topics/landfall",
  "ce-specversion": "1.0",
  "ce-time": "2026-01-05T12:00:00.466Z",
};

let server: Server;
let nextName = 0;

/** Serves a function as the Functions Framework does, with all of its middleware. */
async function serve(act: CloudEventFunction<unknown>): Promise<void> {
  const name = `builds-${nextName++}`;
  cloudEvent(name, act);
  server = getTestServer(name).listen(0, "127.0.0.1");
  await once(server, "listening");
}

async function post(
  path: string,
  headers: Readonly<Record<string, string>>,
  body: unknown,
): Promise<{ readonly status: number; readonly body: string }> {
  const { port } = server.address() as AddressInfo;
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  return { status: answer.status, body: await answer.text() };
}

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

describe("a message reaches builds", () => {
  let heard: Delivery[];
  beforeEach(async () => {
    heard = [];
    // The framework prints advice about the path of a push endpoint for each message.
    vi.spyOn(console, "warn").mockImplementation(() => {});
    await serve((event) => {
      heard.push(deliveryOf(event));
    });
  });
  afterEach(() => vi.restoreAllMocks());

  const whole = { messageId: "17", data: message.data, attributes: { origin: "ci" } };

  it.each<{
    name: string;
    path?: string;
    headers?: Record<string, string>;
    body: unknown;
    delivery: Delivery;
  }>([
    {
      name: "as Eventarc's CloudEvent, the first time",
      headers: binary,
      body: { message, subscription, deliveryAttempt: 1 },
      delivery: { ...whole, redelivered: false },
    },
    {
      name: "as Eventarc's CloudEvent, again",
      headers: binary,
      body: { message, subscription, deliveryAttempt: 2 },
      delivery: { ...whole, redelivered: true },
    },
    {
      name: "as Eventarc's CloudEvent of a subscription that does not count, which may be again",
      headers: binary,
      body: { message, subscription },
      delivery: { ...whole, redelivered: true },
    },
    {
      name: "as a CloudEvent in structured mode",
      headers: { "content-type": "application/cloudevents+json" },
      body: { specversion: "1.0", id: "17", source: "//pubsub", type: "t", data: { message, subscription } },
      delivery: { ...whole, redelivered: true },
    },
    {
      name: "pushed by Pub/Sub itself, without the count that it had",
      body: { message, subscription, deliveryAttempt: 1 },
      delivery: { ...whole, redelivered: true },
    },
    {
      name: "pushed by Pub/Sub itself to a path that names the topic",
      path: "/projects/p/topics/landfall",
      body: { message, subscription },
      delivery: { ...whole, redelivered: true },
    },
    {
      name: "pushed by Pub/Sub itself to the address that asks for CloudEvents, where that does nothing",
      path: "/?__GCP_CloudEventsMode=CUSTOM_PUBSUB_projects%2Fp%2Ftopics%2Flandfall",
      body: { message, subscription },
      delivery: { ...whole, redelivered: true },
    },
    {
      name: "pushed by Pub/Sub itself with attributes only, as the bare body",
      body: {
        message: { attributes: { origin: "ci" }, messageId: "18", publishTime: message.publishTime },
        subscription,
        deliveryAttempt: 1,
      },
      delivery: { messageId: "18", data: "", attributes: { origin: "ci" }, redelivered: false },
    },
    {
      name: "pushed by Pub/Sub itself with empty data, as the bare body",
      body: { message: { ...message, data: "" }, subscription },
      delivery: { ...whole, data: "", redelivered: true },
    },
    {
      name: "as Eventarc's CloudEvent with attributes only",
      headers: { ...binary, "ce-id": "18" },
      body: { message: { attributes: { origin: "ci" } }, subscription, deliveryAttempt: 1 },
      delivery: { messageId: "18", data: "", attributes: { origin: "ci" }, redelivered: false },
    },
    {
      name: "as Eventarc's CloudEvent without attributes",
      headers: binary,
      body: { message: { data: message.data, messageId: "17" }, subscription, deliveryAttempt: 1 },
      delivery: { ...whole, attributes: {}, redelivered: false },
    },
    {
      name: "as an event of another kind, whole",
      headers: { ...binary, "ce-type": "google.cloud.storage.object.v1.finalized" },
      body: { bucket: "b" },
      delivery: { messageId: "17", data: base64('{"bucket":"b"}'), attributes: {}, redelivered: true },
    },
    {
      name: "as a body without any envelope, under the digest of its text",
      body: { kind: "continue" },
      delivery: {
        messageId: "sha256-bc76daecc241cb2107c4e504c1302b19",
        data: base64('{"kind":"continue"}'),
        attributes: {},
        redelivered: true,
      },
    },
  ])("$name", async ({ path = "/", headers = {}, body, delivery }) => {
    expect(await post(path, headers, body)).toEqual({ status: 204, body: "" });
    expect(heard).toEqual([delivery]);
  });
});

describe("the builds function", () => {
  let wiring: Wiring;
  let lines: string[];
  let ledgerIsDown: boolean;

  beforeEach(async () => {
    lines = [];
    ledgerIsDown = false;
    const config = 'follow: ["docker.io/acme/*"]\nwebhooks: []\ntargets: []\n';
    wiring = wire({
      settings: { ledger: { kind: "memory" } },
      config: () => loadConfig({ path: "landfall.yaml", read: () => config, env: {} }),
      log: jsonLog((line) => lines.push(line)),
      clock: systemClock,
    });
    const { ledger } = await wiring.flows();
    const clock = ledger.clock.bind(ledger);
    vi.spyOn(ledger, "clock").mockImplementation(() =>
      ledgerIsDown ? Promise.reject(new LedgerUnavailableError("no answer from 10.0.0.5")) : clock(),
    );
    await serve(createBuilds(() => wiring));
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await wiring.close();
  });

  it.each([
    { name: "no data", data: "", reason: /no base64 of JSON/, letter: "" },
    { name: "no JSON", data: base64("{ ünï"), reason: /no base64 of JSON/, letter: "{ ünï" },
    { name: "no UTF-8", data: "/////w==", reason: /no base64 of JSON/, letter: "/////w==" },
    { name: "an unknown kind", data: base64('{"kind":"x"}'), reason: /kind/, letter: '{"kind":"x"}' },
  ])("records, sets aside with the reason, and acknowledges a message with $name", async (poison) => {
    const body = { message: { ...message, data: poison.data }, subscription, deliveryAttempt: 1 };
    expect((await post("/", binary, body)).status).toBe(204);
    const { ledger } = await wiring.flows();
    expect(await ledger.get("events", "undecodable-17")).toMatchObject({
      value: { state: "done", outcome: "undecodable", detail: expect.stringMatching(poison.reason) },
    });
    const subscriber = await wiring.subscriber();
    expect(await subscriber.deadLetters()).toMatchObject([
      { data: poison.letter, attributes: { origin: "ci" }, reason: expect.stringMatching(poison.reason) },
    ]);
  });

  it("has a message delivered again when the ledger does not answer, and tells only the log why", async () => {
    ledgerIsDown = true;
    vi.spyOn(console, "error").mockImplementation(() => {}); // the framework's own line
    const body = { message: { ...message, data: base64("{") }, subscription, deliveryAttempt: 1 };
    const answer = await post("/", binary, body);
    expect(answer.status).toBe(500);
    expect(answer.body).not.toContain("10.0.0.5");
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { severity: "ERROR", code: "LEDGER_UNAVAILABLE", message: "no answer from 10.0.0.5" },
    ]);
    ledgerIsDown = false;
    expect((await post("/", binary, { ...body, deliveryAttempt: 2 })).status).toBe(204);
  });
});
