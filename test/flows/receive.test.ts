import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Message } from "../../shared/bus/bus.ts";
import { matcher } from "../../shared/domain/repository-glob.ts";
import { BusUnavailableError, ConfigError } from "../../shared/errors.ts";
import type { Webhook } from "../../shared/flows/admit.ts";
import { type BodyReading, type Delivery, type Receipt, receive } from "../../shared/flows/receive.ts";
import type { LogFields } from "../../shared/log.ts";
import { distribution } from "../../shared/sources/distribution.ts";
import { dockerhub } from "../../shared/sources/dockerhub.ts";
import { native } from "../../shared/sources/native.ts";
import {
  distributionDelivery,
  dockerhubDelivery,
  nativeDelivery,
  type SampleDelivery,
} from "../deliveries.ts";

const secret = "correct-horse-battery-staple";
const next = "next-correct-horse-battery-staple";
const wrong = "wrong-horse-battery-staple";
const allSources: readonly Webhook[] = [dockerhub, distribution, native].map((source) => ({
  source,
  secrets: [() => secret],
}));

interface Line {
  readonly severity: string;
  readonly message: string;
  readonly fields?: LogFields;
}

/** A bus that takes everything, or fails, and a log that is kept. */
function harness(webhooks: readonly Webhook[] = allSources, failure?: Error) {
  const published: (readonly Message[])[] = [];
  const lines: Line[] = [];
  const deps = {
    webhooks,
    bus: {
      publish: async (messages: readonly Message[]) => {
        if (failure !== undefined) throw failure;
        published.push(messages);
      },
    },
    newId: () => "evt",
    clock: { now: () => 1234 },
    log: {
      write: (severity: string, message: string, fields?: LogFields) =>
        lines.push({ severity, message, ...(fields === undefined ? {} : { fields }) }),
    },
  };
  return { published, lines, take: (delivery: Delivery) => receive(deps, delivery) };
}

function arriving(
  sample: SampleDelivery,
  changes: Partial<Delivery> & { readonly body?: BodyReading } = {},
): Delivery {
  const [, , source = "", pathSecret] = sample.path.split("/");
  const { body, ...rest } = changes;
  return {
    method: "POST",
    source,
    ...(pathSecret === undefined ? {} : { secret: pathSecret }),
    headers: sample.headers,
    readBody: async () => body ?? { kind: "bytes", bytes: Buffer.from(sample.body) },
    ...rest,
  };
}

function statusOf(receipt: Receipt): string | number {
  return receipt.outcome === "reject" ? receipt.status : receipt.outcome;
}

const bytes = (text: string): BodyReading => ({ kind: "bytes", bytes: Buffer.from(text) });

describe("receive", () => {
  it("hands a push over as one message and answers with its event", async () => {
    const { take, published, lines } = harness();
    const receipt = await take(arriving(dockerhubDelivery(secret)));
    const push = {
      source: "dockerhub",
      registry: "docker.io",
      repository: "acme/api",
      tag: "1.8.0",
      pusher: "acmebot",
      pushedAt: "2024-06-10T06:13:20.000Z",
    };
    expect(receipt).toEqual({ outcome: "accept", images: [push], event: "evt", notAllowed: 0 });
    expect(published).toEqual([[{ kind: "push", event: "evt", heardMs: 1234, push }]]);
    expect(lines).toEqual([
      {
        severity: "info",
        message: "push accepted",
        fields: { source: "dockerhub", event: "evt", images: "docker.io/acme/api:1.8.0" },
      },
    ]);
  });

  it("hands several images over in one publication, with numbered events", async () => {
    const { take, published } = harness();
    await take(arriving(distributionDelivery(secret, [{ tag: "a" }, { tag: "b" }, { tag: "c" }])));
    expect(published).toHaveLength(1);
    expect(
      published[0]?.map((message) => message.kind === "push" && [message.event, message.push.tag]),
    ).toEqual([
      ["evt.1", "a"],
      ["evt.2", "b"],
      ["evt.3", "c"],
    ]);
  });

  describe("checks in the contract's order: each row breaks one more thing, the first one decides", () => {
    const sample = dockerhubDelivery(secret);
    const noType = { headers: {} };
    const large: BodyReading = { kind: "too-large" };
    it.each<{ name: string; changes: Parameters<typeof arriving>[1]; status: number | string }>([
      { name: "nothing", changes: {}, status: "accept" },
      { name: "shape", changes: { body: bytes("{}") }, status: 400 },
      { name: "syntax", changes: { body: bytes("{") }, status: 400 },
      { name: "media type", changes: { ...noType, body: bytes("{") }, status: 415 },
      { name: "secret", changes: { ...noType, body: bytes("{"), secret: wrong }, status: 401 },
      { name: "size", changes: { ...noType, body: large, secret: wrong }, status: 413 },
      { name: "method", changes: { ...noType, body: large, secret: wrong, method: "PUT" }, status: 405 },
    ])("$name: $status", async ({ changes, status }) => {
      const { take, published } = harness();
      expect(statusOf(await take(arriving(sample, changes)))).toBe(status);
      expect(published).toHaveLength(status === "accept" ? 1 : 0);
    });
  });

  it("does not read the body of a request with the wrong method", async () => {
    const readBody = () => Promise.reject(new Error("was read"));
    const receipt = await harness().take(arriving(dockerhubDelivery(secret), { method: "GET", readBody }));
    expect(statusOf(receipt)).toBe(405);
  });

  it.each<{ type: string | undefined; status: number | string }>([
    { type: "application/json", status: "accept" },
    { type: "Application/JSON; charset=utf-8", status: "accept" },
    { type: "application/cloudevents+json", status: "accept" },
    { type: "application/vnd.docker.distribution.events.v1+json", status: "accept" },
    { type: "application/vnd.docker.distribution.events.v2+json", status: "accept" },
    { type: undefined, status: 415 },
    { type: "", status: 415 },
    { type: "text/plain", status: 415 },
    { type: "text/json", status: 415 },
    { type: "application/jsonp", status: 415 },
    { type: "application/x-www-form-urlencoded", status: 415 },
    { type: "multipart/form-data; boundary=json", status: 415 },
  ])("answers the media type $type with $status", async ({ type, status }) => {
    const headers = { "content-type": type };
    expect(statusOf(await harness().take(arriving(dockerhubDelivery(secret), { headers })))).toBe(status);
  });

  it.each([["gzip"], ["br"], ["identity, gzip"]])("refuses the content encoding %s", async (encoding) => {
    const sample = dockerhubDelivery(secret);
    const headers = { ...sample.headers, "content-encoding": encoding };
    expect(statusOf(await harness().take(arriving(sample, { headers })))).toBe(415);
  });

  it.each<{ name: string; body: Uint8Array }>([
    { name: "nothing", body: Buffer.alloc(0) },
    { name: "a list", body: Buffer.from("[{}]") },
    { name: "a text", body: Buffer.from('"push"') },
    { name: "a number", body: Buffer.from("1") },
    { name: "null", body: Buffer.from("null") },
    { name: "half an object", body: Buffer.from('{"push_data":') },
    { name: "two objects", body: Buffer.from("{}{}") },
    { name: "invalid UTF-8", body: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]) },
    { name: "UTF-16", body: Buffer.from('{"a":1}', "utf16le") },
    { name: "10,000 nested lists", body: Buffer.from("[".repeat(10_000) + "]".repeat(10_000)) },
    { name: "10,000 lists, never closed", body: Buffer.from("[".repeat(10_000)) },
    { name: "10,000 nested objects", body: Buffer.from(`${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}`) },
    { name: "a required field inside __proto__", body: protoOnly() },
  ])("rejects $name with 400", async ({ body }) => {
    const { take, published } = harness();
    const receipt = await take(arriving(dockerhubDelivery(secret), { body: { kind: "bytes", bytes: body } }));
    expect(statusOf(receipt)).toBe(400);
    expect(published).toEqual([]);
  });

  it("takes a delivery with 10,000-deep JSON and a __proto__ in fields that nobody reads", async () => {
    const sample = dockerhubDelivery(secret);
    const deep = "[".repeat(10_000) + "]".repeat(10_000);
    const body = bytes(`{"deep":${deep},"__proto__":{"polluted":true},${sample.body.slice(1)}`);
    expect(statusOf(await harness().take(arriving(sample, { body })))).toBe("accept");
    expect(Object.prototype).not.toHaveProperty("polluted");
  });

  describe("authentication", () => {
    it.each<{ name: string; sample: SampleDelivery }>([
      { name: "dockerhub by path", sample: dockerhubDelivery(secret) },
      { name: "distribution by header", sample: distributionDelivery(secret) },
      { name: "distribution by path", sample: byPath(distributionDelivery(""), secret) },
      { name: "native by header", sample: nativeDelivery(secret) },
      { name: "native by path", sample: byPath(nativeDelivery(""), secret) },
      { name: "a right path beside a wrong header", sample: byPath(nativeDelivery(wrong), secret) },
      { name: "a right header beside a wrong path", sample: byPath(nativeDelivery(secret), wrong) },
    ])("admits $name", async ({ sample }) => {
      expect(statusOf(await harness().take(arriving(sample)))).toBe("accept");
    });

    it.each<{ name: string; delivery: Delivery }>([
      { name: "a wrong secret", delivery: arriving(dockerhubDelivery(wrong)) },
      { name: "a secret with more behind it", delivery: arriving(dockerhubDelivery(`${secret}x`)) },
      { name: "a part of the secret", delivery: arriving(dockerhubDelivery(secret.slice(1))) },
      { name: "the secret in capitals", delivery: arriving(dockerhubDelivery(secret.toUpperCase())) },
      { name: "no secret", delivery: arriving({ ...dockerhubDelivery(secret), path: "/hooks/dockerhub" }) },
      { name: "an empty secret", delivery: arriving(dockerhubDelivery("")) },
      {
        name: "a source that is not in this version",
        delivery: arriving(dockerhubDelivery(secret), { source: "quay" }),
      },
      {
        name: "a source that does not exist",
        delivery: arriving(dockerhubDelivery(secret), { source: "nexus" }),
      },
      {
        name: "a name of every object",
        delivery: arriving(dockerhubDelivery(secret), { source: "constructor" }),
      },
      {
        name: "Docker Hub by header",
        delivery: arriving({ ...nativeDelivery(secret), path: "/hooks/dockerhub" }),
      },
    ])("answers $name with 401, always the same", async ({ delivery }) => {
      expect(await harness().take(delivery)).toEqual({
        outcome: "reject",
        status: 401,
        error: "no valid secret or signature",
      });
    });

    it("does not admit a source with another source's secret", async () => {
      const webhooks = [
        { source: dockerhub, secrets: [() => secret] },
        { source: native, secrets: [() => next] },
      ];
      expect(statusOf(await harness(webhooks).take(arriving(dockerhubDelivery(next))))).toBe(401);
    });

    it("admits the old and the new secret during a rotation, and reads the secret at each delivery", async () => {
      let current = secret;
      const rotating = [{ source: dockerhub, secrets: [() => current, () => next] }];
      const { take } = harness(rotating);
      expect(statusOf(await take(arriving(dockerhubDelivery(secret))))).toBe("accept");
      expect(statusOf(await take(arriving(dockerhubDelivery(next))))).toBe("accept");
      current = wrong;
      expect(statusOf(await take(arriving(dockerhubDelivery(secret))))).toBe(401);
    });

    it("compares every secret of every entry, whichever matches", async () => {
      const read: string[] = [];
      const entry = (name: string, value: string): Webhook => ({
        source: dockerhub,
        secrets: [
          () => {
            read.push(name);
            return value;
          },
        ],
      });
      await harness([entry("a", secret), entry("b", next), entry("c", wrong)]).take(
        arriving(dockerhubDelivery(secret)),
      );
      expect(read).toEqual(["a", "b", "c"]);
    });

    it.each<{ name: string; value: () => string; offered: string }>([
      { name: "empty", value: () => "", offered: "" },
      { name: "too short", value: () => "short-secret", offered: "short-secret" },
      { name: "a source's name", value: () => "cloudbuild-pubsub", offered: "cloudbuild-pubsub" },
      {
        name: "missing",
        value: () => {
          throw new ConfigError(["webhooks[0].secrets[0]: HOOK_SECRET is not set"]);
        },
        offered: "",
      },
    ])("admits nobody with a secret that is $name, and says so in the log", async ({ value, offered }) => {
      const { take, lines } = harness([{ source: dockerhub, secrets: [value] }]);
      expect(statusOf(await take(arriving(dockerhubDelivery(offered))))).toBe(401);
      expect(lines.map((line) => line.severity)).toEqual(["error", "warning"]);
    });
  });

  describe("scope", () => {
    const scopedTo = (...globs: string[]): Webhook => ({
      source: distribution,
      secrets: [() => secret],
      repositories: matcher(globs),
      hostAliases: { "Core:8080": "registry.acme.io", registry: "docker.io", internal: "a b" },
    });
    const report = (...pushes: Parameters<typeof distributionDelivery>[1] & object) =>
      arriving(distributionDelivery(secret, pushes));

    it("drops images that the secret may not speak for", async () => {
      const { take, published, lines } = harness([scopedTo("registry.acme.io/b/*")]);
      const host = "core:8080";
      await take(report({ host, repository: "b/api" }, { host, repository: "c/api" }));
      expect(published.flat()).toMatchObject([
        { event: "evt", push: { registry: "registry.acme.io", repository: "b/api" } },
      ]);
      expect(lines[0]?.fields).toMatchObject({ notAllowed: 1, images: "registry.acme.io/b/api:1.8.0" });
    });

    it.each<{ name: string; host: string; repository: string }>([
      { name: "another repository", host: "core:8080", repository: "c/api" },
      { name: "the reported host that an alias replaces", host: "other:8080", repository: "b/api" },
      { name: "a host that no image name can have", host: "harbor", repository: "b/api" },
      { name: "a host whose alias is no host", host: "internal", repository: "b/api" },
    ])("ignores a delivery of $name alone as not allowed", async ({ host, repository }) => {
      const { take, published } = harness([scopedTo("registry.acme.io/b/*", "docker.io/*")]);
      expect(await take(report({ host, repository }))).toEqual({ outcome: "ignore", reason: "not-allowed" });
      expect(published).toEqual([]);
    });

    it("names an image by its alias in the normal form", async () => {
      const { take, published } = harness([scopedTo("docker.io/library/*")]);
      await take(report({ host: "registry", repository: "nginx" }));
      expect(published.flat()).toMatchObject([
        { push: { registry: "docker.io", repository: "library/nginx" } },
      ]);
    });

    it("asks every entry that the same secret admits", async () => {
      const { take, published } = harness([
        scopedTo("registry.acme.io/a/*"),
        { source: distribution, secrets: [() => secret], repositories: matcher(["core:8080/b/*"]) },
      ]);
      await take(report({ host: "core:8080", repository: "b/api" }));
      expect(published.flat()).toMatchObject([{ push: { registry: "core:8080", repository: "b/api" } }]);
    });
  });

  it("says that a push could not be handed over, with its images in the log", async () => {
    const { take, lines } = harness(allSources, new BusUnavailableError("topic unreachable"));
    expect((await take(arriving(dockerhubDelivery(secret)))).outcome).toBe("unavailable");
    expect(lines).toMatchObject([
      { severity: "error", fields: { images: "docker.io/acme/api:1.8.0", reason: "topic unreachable" } },
    ]);
  });

  it("lets an error that is none of the bus's through", async () => {
    const { take } = harness(allSources, new TypeError("a bug"));
    await expect(take(arriving(dockerhubDelivery(secret)))).rejects.toThrow(TypeError);
  });

  it("logs the place of a source only if it is a source's name: it may be a secret", async () => {
    const { take, lines } = harness();
    await take(arriving(dockerhubDelivery("x"), { source: secret }));
    expect(lines).toMatchObject([{ severity: "warning", fields: { source: "unknown", status: 401 } }]);
  });

  const names = ["dockerhub", "distribution", "native", "quay", secret, "__proto__"];
  it("gives an outcome for any bytes, any source and any path secret, and logs one line without the secret", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...names),
        fc.oneof(fc.constant(secret), fc.string()),
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((text) => Buffer.from(text)),
          fc.dictionary(fc.string(), fc.jsonValue()).map((value) => Buffer.from(JSON.stringify(value))),
        ),
        async (source, offered, body) => {
          const { take, lines } = harness();
          const delivery = { source, secret: offered, body: { kind: "bytes", bytes: body } as const };
          const receipt = await take(arriving(dockerhubDelivery(secret), delivery));
          expect(["accept", "ignore", "reject"]).toContain(receipt.outcome);
          expect(lines).toHaveLength(1);
          expect(JSON.stringify(lines)).not.toContain(secret);
        },
      ),
    );
  });
});

function protoOnly(): Buffer {
  const { body } = dockerhubDelivery(secret);
  return Buffer.from(`{"__proto__":${body}}`);
}

function byPath(sample: SampleDelivery, pathSecret: string): SampleDelivery {
  return { ...sample, path: `${sample.path}/${pathSecret}` };
}
