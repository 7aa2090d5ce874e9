import { once } from "node:events";
import type { Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { http } from "@google-cloud/functions-framework";
import { getTestServer } from "@google-cloud/functions-framework/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createWebhook, type WebhookOptions } from "../functions/webhook.ts";
import type { Message } from "../shared/bus/bus.ts";
import { BusUnavailableError, ConfigError } from "../shared/errors.ts";
import type { ReceiveDeps } from "../shared/flows/receive.ts";
import { jsonLog } from "../shared/log.ts";
import { sources } from "../shared/sources/index.ts";
import { version } from "../shared/version.ts";
import {
  distributionDelivery,
  dockerhubDelivery,
  nativeDelivery,
  type SampleDelivery,
} from "./deliveries.ts";
import { repeated, type Sent, sendParts } from "./doubles/sender.ts";

const secret = "correct horse/battery-staple";
const wrong = "wrong-horse-battery-staple";
const mebibyte = 1024 * 1024;
const waiting = { timeout: 15_000, interval: 10 };
const json = { "content-type": "application/json" };

let server: Server;
let port: number;
let published: (readonly Message[])[];
let busFailure: Error | undefined;
/** Everything that could give a secret away: log lines and answers. */
let seen: string[];
let nextName = 0;

async function start(
  options: Partial<WebhookOptions> = {},
  deps?: () => ReceiveDeps | Promise<ReceiveDeps>,
): Promise<void> {
  const log = jsonLog((line) => seen.push(line));
  const usual = (): ReceiveDeps => ({
    webhooks: Object.values(sources).map((source) => ({ source, secrets: [() => secret] })),
    bus: {
      publish: async (messages) => {
        if (busFailure !== undefined) throw busFailure;
        published.push(messages);
      },
    },
    newId: () => "evt",
    clock: { now: () => 1234 },
    log,
  });
  const name = `webhook-${nextName++}`;
  http(name, createWebhook(deps ?? usual, { log, ...options }));
  server = getTestServer(name).listen(0, "127.0.0.1");
  await once(server, "listening");
  port = (server.address() as AddressInfo).port;
}

async function stop(): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

async function post(
  sending: Omit<Parameters<typeof sendParts>[0], "port">,
): Promise<Sent & { json: unknown }> {
  const sent = await sendParts({ port, ...sending });
  seen.push(sent.body, JSON.stringify(sent.headers));
  return { ...sent, json: sent.body === "" ? undefined : JSON.parse(sent.body) };
}

function deliver({ path, headers, body }: SampleDelivery): ReturnType<typeof post> {
  const bytes = Buffer.from(body);
  return post({ path, headers, parts: [bytes], length: bytes.length });
}

beforeEach(async () => {
  published = [];
  seen = [];
  busFailure = undefined;
  await start();
});

afterEach(async () => {
  await stop();
  const told = seen.join("\n");
  for (const hidden of [secret, encodeURIComponent(secret), wrong]) expect(told).not.toContain(hidden);
});

describe("webhook", () => {
  it("accepts a Docker Hub delivery with 202, the images and the event", async () => {
    const answer = await deliver(dockerhubDelivery(secret));
    expect(answer.status).toBe(202);
    expect(answer.headers["content-type"]).toBe("application/json; charset=utf-8");
    expect(answer.json).toEqual({
      outcome: "accept",
      images: [
        {
          source: "dockerhub",
          registry: "docker.io",
          repository: "acme/api",
          tag: "1.8.0",
          pusher: "acmebot",
          pushedAt: "2024-06-10T06:13:20.000Z",
        },
      ],
      event: "evt",
    });
    expect(published.flat()).toMatchObject([{ kind: "push", event: "evt" }]);
  });

  const hidden = encodeURIComponent(secret);
  it.each<{ path: string; sample: SampleDelivery }>([
    { path: `/hooks/dockerhub/${hidden}`, sample: dockerhubDelivery(secret) },
    { path: `/hooks/dockerhub/${hidden}/`, sample: dockerhubDelivery(secret) },
    { path: `/hooks/dockerhub/${hidden}?source=hub`, sample: dockerhubDelivery(secret) },
    { path: `/hooks/${hidden}`, sample: dockerhubDelivery(secret) },
    { path: `/hooks/${hidden}/`, sample: dockerhubDelivery(secret) },
    { path: "/hooks/distribution", sample: distributionDelivery(secret) },
    { path: `/hooks/distribution/${hidden}`, sample: distributionDelivery("none") },
    { path: "/hooks/native/", sample: nativeDelivery(secret) },
    { path: `/hooks/native/${hidden}`, sample: nativeDelivery("none") },
  ])("accepts at $path", async ({ path, sample }) => {
    expect((await deliver({ ...sample, path })).status).toBe(202);
  });

  it("ignores a delivery that asks for nothing with 200 and the reason", async () => {
    const answer = await deliver(dockerhubDelivery(secret, { tag: "" }));
    expect([answer.status, answer.json]).toEqual([200, { outcome: "ignore", reason: "untagged" }]);
    expect(published).toEqual([]);
  });

  it("answers a wrong secret the same whether the source exists or not", async () => {
    const paths = ["dockerhub", "distribution", "native", "quay", "nexus", "%zz", "__proto__"];
    const answers = await Promise.all(
      [...paths.map((name) => `${name}/${wrong}`), ...paths.slice(0, 4), wrong].map((end) =>
        deliver({ ...dockerhubDelivery(wrong), path: `/hooks/${end}` }),
      ),
    );
    const first = answers[0];
    expect(first?.status).toBe(401);
    for (const { status, body, headers } of answers) {
      expect({ status, body, headers: { ...headers, date: "" } }).toEqual({
        status: first?.status,
        body: first?.body,
        headers: { ...first?.headers, date: "" },
      });
    }
    expect(published).toEqual([]);
  });

  it.each([["GET"], ["PUT"], ["DELETE"], ["OPTIONS"], ["PATCH"]])(
    "answers %s of a hook with 405 and what is allowed",
    async (method) => {
      const { path } = dockerhubDelivery(secret);
      const answer = await post({ path, method, parts: repeated(100 * mebibyte) });
      expect([answer.status, answer.headers.allow]).toEqual([405, "POST"]);
    },
  );

  it.each([
    ["/"],
    ["/hook"],
    ["/hooks"],
    ["/hooks/"],
    ["/hooks/a/b/c"],
    ["/hooks//b"],
    ["//hooks/a"],
    ["/hooksy/a"],
  ])("knows no path %s", async (path) => {
    expect((await deliver({ ...dockerhubDelivery(secret), path })).status).toBe(404);
  });

  it("answers GET /health without looking at its configuration", async () => {
    await stop();
    await start({}, () => Promise.reject(new ConfigError(["broken"])));
    const answer = await post({ path: "/health", method: "GET", length: 0 });
    expect([answer.status, answer.json]).toEqual([200, { status: "ok", version, function: "webhook" }]);
    expect((await post({ path: "/health", length: 0 })).status).toBe(405);
  });

  it("answers a path that cannot be decoded itself: the framework would print it, and a secret in it", async () => {
    const answer = await deliver({ ...dockerhubDelivery(secret), path: `/hooks/dockerhub/${wrong}%zz` });
    expect([answer.status, answer.json]).toEqual([401, { outcome: "reject", error: expect.any(String) }]);
  });

  describe("size", () => {
    const { path } = dockerhubDelivery(secret);
    it.each<{ name: string; length?: number }>([
      { name: "with Content-Length", length: 100 * mebibyte },
      { name: "without Content-Length" },
    ])("refuses 100 MiB $name with 413 and closes", async (declared) => {
      const { name: _name, ...length } = declared;
      const answer = await post({ path, headers: json, parts: repeated(100 * mebibyte), ...length });
      expect([answer.status, answer.headers.connection]).toEqual([413, "close"]);
      expect(answer.json).toMatchObject({ outcome: "reject" });
    });

    it("answers a declared length beyond the cap before a byte of the body came", async () => {
      const answer = await post({ path, headers: json, length: 100 * mebibyte, unfinished: true });
      expect([answer.status, answer.sentBytes]).toEqual([413, 0]);
    });

    it("answers a client that waits for `100 Continue` as well", async () => {
      const headers = { ...json, expect: "100-continue" };
      const answer = await post({ path, headers, parts: repeated(100 * mebibyte), length: 100 * mebibyte });
      expect(answer.status).toBe(413);
    });

    it("answers a client that sends all before it reads, and takes all of it meanwhile", async () => {
      const socket = connect(port, "127.0.0.1");
      const answer: Buffer[] = [];
      socket.on("data", (chunk: Buffer) => answer.push(chunk));
      const total = 16 * mebibyte;
      socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: ${total}\r\n\r\n`);
      for (const part of repeated(total)) {
        if (!socket.write(part)) await once(socket, "drain");
      }
      await once(socket, "end");
      expect(Buffer.concat(answer).toString("utf8")).toMatch(/^HTTP\/1\.1 413 /);
      expect(socket.bytesWritten).toBeGreaterThan(total);
      socket.destroy();
    });

    it.each<{ name: string; declared: boolean; extra: number; status: number }>([
      { name: "takes exactly the cap", declared: true, extra: 0, status: 202 },
      { name: "takes exactly the cap, chunked", declared: false, extra: 0, status: 202 },
      { name: "refuses a byte more", declared: true, extra: 1, status: 413 },
      { name: "refuses a byte more, chunked", declared: false, extra: 1, status: 413 },
    ])("$name", async ({ declared, extra, status }) => {
      const bytes = padded(dockerhubDelivery(secret).body, 2 * mebibyte + extra);
      const parts = [bytes.subarray(0, 100_000), bytes.subarray(100_000)];
      const length = declared ? { length: bytes.length } : {};
      expect((await post({ path, headers: json, parts, ...length })).status).toBe(status);
    });
  });

  it("accepts a chunked delivery", async () => {
    const { path, headers, body } = dockerhubDelivery(secret);
    const bytes = Buffer.from(body);
    const parts = [bytes.subarray(0, 10), bytes.subarray(10)];
    expect((await post({ path, headers, parts })).status).toBe(202);
  });

  it("answers a body that drips too slowly with 408", async () => {
    await stop();
    await start({ bodyDeadlineMs: 50 });
    const { path } = dockerhubDelivery(secret);
    const parts = [Buffer.from("{")];
    const answer = await post({ path, headers: json, parts, length: 1000, unfinished: true });
    expect([answer.status, answer.headers.connection]).toEqual([408, "close"]);
  });

  it("survives a sender that hangs up in the middle of its body", async () => {
    const socket = connect(port, "127.0.0.1");
    socket.write(`POST ${dockerhubDelivery(secret).path} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{`);
    await once(server, "request");
    socket.destroy();
    await expect.poll(() => seen.join(), waiting).toContain("broken off by its sender");
    expect((await deliver(dockerhubDelivery(secret))).status).toBe(202);
  });

  it.each<{ name: string; body: Buffer; headers?: Readonly<Record<string, string>>; status: number }>([
    { name: "malformed JSON", body: Buffer.from("{"), status: 400 },
    { name: "nothing", body: Buffer.alloc(0), status: 400 },
    { name: "a list", body: Buffer.from("[]"), status: 400 },
    { name: "a scalar", body: Buffer.from("true"), status: 400 },
    { name: "invalid UTF-8", body: Buffer.from([0x7b, 0xff, 0x7d]), status: 400 },
    { name: "10,000-deep JSON", body: Buffer.from("[".repeat(10_000) + "]".repeat(10_000)), status: 400 },
    { name: "2 MiB of opening brackets", body: Buffer.alloc(2 * mebibyte, "["), status: 400 },
    { name: "__proto__ alone", body: Buffer.from('{"__proto__":{"push_data":{}}}'), status: 400 },
    { name: "no media type", body: Buffer.from("{}"), headers: {}, status: 415 },
    { name: "a form", body: Buffer.from("a=b"), headers: form(), status: 415 },
    { name: "gzip", body: Buffer.from("{}"), headers: { ...json, "content-encoding": "gzip" }, status: 415 },
    { name: "an unknown charset", body: Buffer.from("{}"), headers: charset("x"), status: 400 },
  ])("answers $name with $status and a JSON body", async ({ body, headers, status }) => {
    const { path } = dockerhubDelivery(secret);
    const answer = await post({ path, headers: headers ?? json, parts: [body], length: body.length });
    expect([answer.status, answer.json]).toEqual([status, { outcome: "reject", error: expect.any(String) }]);
    expect(published).toEqual([]);
  });

  it("keeps the connection of a sender whose delivery was refused, and reads a body that came with its headers", async () => {
    const socket = connect(port, "127.0.0.1");
    const answer: string[] = [];
    socket.on("data", (chunk: Buffer) => answer.push(chunk.toString("utf8")));
    const { path, body } = dockerhubDelivery(secret);
    const type = "content-type: application/json";
    const length = `content-length: ${Buffer.byteLength(body)}`;
    for (const [at, status] of [[`/hooks/dockerhub/${wrong}`, 401] as const, [path, 202] as const]) {
      socket.write(`POST ${at} HTTP/1.1\r\nhost: x\r\n${type}\r\n${length}\r\n\r\n${body}`);
      await expect.poll(() => answer.join(""), waiting).toMatch(new RegExp(`HTTP/1.1 ${status} [^]*\\}$`));
    }
    socket.destroy();
    expect(published.flat()).toHaveLength(1);
  });

  it("answers 503 with Retry-After when the bus takes nothing", async () => {
    busFailure = new BusUnavailableError(`topic of ${"acme"} unreachable`);
    const answer = await deliver(dockerhubDelivery(secret));
    expect([answer.status, answer.headers["retry-after"]]).toEqual([503, "5"]);
    expect(answer.body).not.toContain("acme");
  });

  it("answers 500 without the error's words when something unexpected breaks", async () => {
    busFailure = new TypeError("cannot read property of the database");
    const answer = await deliver(dockerhubDelivery(secret));
    expect([answer.status, answer.json]).toEqual([500, { error: "internal error, see the log" }]);
    expect(seen.filter((line) => line.includes("cannot read property"))).toHaveLength(1);
  });

  it("answers 500 when the configuration cannot be used, and logs what is wrong with it", async () => {
    await stop();
    await start({}, () => Promise.reject(new ConfigError(["webhooks[0].secrets[0]: X is not set"])));
    expect((await deliver(dockerhubDelivery(secret))).status).toBe(500);
    expect(seen.filter((line) => line.includes("X is not set"))).toHaveLength(1);
  });
});

/** The same JSON with trailing spaces up to `size` bytes. */
function padded(body: string, size: number): Buffer {
  return Buffer.from(body.padEnd(size, " "));
}

function form(): Readonly<Record<string, string>> {
  return { "content-type": "application/x-www-form-urlencoded" };
}

function charset(name: string): Readonly<Record<string, string>> {
  return { "content-type": `application/json; charset=${name}` };
}
