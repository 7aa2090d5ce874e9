import { createServer } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Fault, FaultKind } from "../../functions/local/sandbox/registry/faults.ts";
import { mediaTypes } from "../../functions/local/sandbox/registry/image.ts";
import {
  type SandboxRegistry,
  startSandboxRegistry,
} from "../../functions/local/sandbox/registry/registry.ts";
import type { Repository } from "../../shared/domain/reference.ts";
import { type OciRegistry, ociRegistry } from "../../shared/registry/oci/oci-registry.ts";
import { type ManualClock, manualClock } from "../doubles/manual-clock.ts";

let server: SandboxRegistry;
let registry: OciRegistry;
let repository: Repository;
let clock: ManualClock;

beforeEach(async () => {
  server = await startSandboxRegistry();
  clock = manualClock();
  repository = `${server.host}/acme/web`;
  registry = ociRegistry({ registries: [{ host: server.host, plainHttp: true }], clock });
});
afterEach(async () => {
  await registry.close();
  await server.stop();
});

/** The same registry, with little patience. */
function impatient(): OciRegistry {
  return ociRegistry({ registries: [{ host: server.host, plainHttp: true }], clock, deadlineMs: 60 });
}

const calls: readonly { name: string; call: (asked: OciRegistry) => Promise<unknown> }[] = [
  { name: "head", call: (asked) => asked.head(repository, "v1") },
  { name: "get", call: (asked) => asked.get(repository, "v1") },
  { name: "tags", call: (asked) => asked.tags(repository) },
];

describe("a registry in trouble", () => {
  const rows = calls.flatMap(({ name, call }) =>
    (
      [
        { fault: "drops the connection", does: { kind: "reset" }, code: "REGISTRY_UNAVAILABLE" },
        { fault: "hangs", does: { kind: "hang" }, code: "REGISTRY_UNAVAILABLE" },
        { fault: "drips", does: { kind: "slow-drip", everyMs: 5 }, code: "REGISTRY_UNAVAILABLE" },
        { fault: "breaks off", does: { kind: "half-body" }, code: "REGISTRY_UNAVAILABLE" },
        { fault: "speaks something else", does: { kind: "not-http" }, code: "REGISTRY_UNAVAILABLE" },
        { fault: "answers 500", does: { kind: "status", status: 500 }, code: "REGISTRY_UNAVAILABLE" },
        { fault: "answers 503", does: { kind: "status", status: 503 }, code: "REGISTRY_UNAVAILABLE" },
        { fault: "answers 408", does: { kind: "status", status: 408 }, code: "REGISTRY_UNAVAILABLE" },
        { fault: "answers 429", does: { kind: "status", status: 429 }, code: "REGISTRY_UNAVAILABLE" },
        {
          fault: "answers 401 without a challenge",
          does: { kind: "status", status: 401 },
          code: "REGISTRY_DENIED",
        },
        { fault: "answers 403", does: { kind: "status", status: 403 }, code: "REGISTRY_DENIED" },
        { fault: "answers 400", does: { kind: "status", status: 400 }, code: "REGISTRY_RESPONSE" },
        { fault: "answers 204", does: { kind: "status", status: 204 }, code: "REGISTRY_RESPONSE" },
        { fault: "answers with a web page", does: { kind: "garbage" }, code: "REGISTRY_RESPONSE" },
      ] satisfies { fault: string; does: FaultKind; code: string }[]
    ).map((row) => ({ ...row, name, call })),
  );

  it.each(rows)("that $fault makes `$name` fail with $code", async ({ does, code, call }) => {
    server.push("acme/web", "v1");
    server.faults.switchOn({ does });
    const asked = does.kind === "hang" || does.kind === "slow-drip" ? impatient() : registry;
    await expect(call(asked)).rejects.toMatchObject({ code, retryable: true });
    if (asked !== registry) await asked.close();
  });

  it.each(calls)("that is not there makes `$name` fail as unavailable", async ({ call }) => {
    await server.stop();
    await expect(call(registry)).rejects.toMatchObject({ code: "REGISTRY_UNAVAILABLE" });
  });

  it("is told apart from the next call: one failure does not spoil another", async () => {
    const digest = server.push("acme/web", "v1");
    server.faults.switchOn({ times: 1, does: { kind: "half-body" } });
    await expect(registry.get(repository, "v1")).rejects.toMatchObject({ code: "REGISTRY_UNAVAILABLE" });
    expect(await registry.get(repository, "v1")).toMatchObject({ digest });
  });

  it("that says when to come back with a 503 is quoted", async () => {
    server.faults.switchOn({ does: { kind: "status", status: 503, headers: { "retry-after": "7" } } });
    await expect(registry.head(repository, "v1")).rejects.toMatchObject({ retryAfterMs: 7_000 });
  });

  it("is not believed when it sends more than a manifest can be", async () => {
    server.faults.switchOn({
      does: {
        kind: "status",
        status: 200,
        headers: { "content-type": mediaTypes.ociManifest },
        body: "x".repeat(4 * 1024 * 1024 + 1),
      },
    });
    await expect(registry.get(repository, "v1")).rejects.toMatchObject({ code: "REGISTRY_RESPONSE" });
  });

  it("sends nothing when the time of the call is over", async () => {
    server.push("acme/web", "v1");
    const manifest = await registry.get(repository, "v1");
    if (manifest === undefined) throw new Error("nothing to write");
    const late = ociRegistry({
      registries: [{ host: server.host, plainHttp: true }],
      // Each look at this clock costs 12 s: before the PUT can be sent its time is over.
      clock: { ...clock, monotonic: monotonicBy(12_000) },
    });
    await expect(late.put(repository, "prod", manifest)).rejects.toMatchObject({
      code: "REGISTRY_UNAVAILABLE",
    });
    expect(server.requests.filter(({ method }) => method === "PUT")).toEqual([]);
    await late.close();
  });
});

describe("answers that are no sense", () => {
  it.each<{ name: string; does: FaultKind }>([
    { name: "schema 1", does: { kind: "schema-1" } },
    { name: "content that is not the digest's", does: { kind: "wrong-digest" } },
  ])("are refused: $name", async ({ does }) => {
    server.push("acme/web", "v1");
    server.faults.switchOn({ does });
    await expect(registry.get(repository, "v1")).rejects.toMatchObject({ code: "REGISTRY_RESPONSE" });
  });

  it("are refused: another digest than the one asked for", async () => {
    const digest = server.push("acme/web", "v1");
    server.faults.switchOn({ does: { kind: "wrong-digest" } });
    await expect(registry.head(repository, digest)).rejects.toMatchObject({ code: "REGISTRY_RESPONSE" });
  });

  it("are refused: schema 1 to a HEAD", async () => {
    server.push("acme/web", "v1");
    server.faults.switchOn({ does: { kind: "schema-1" } });
    await expect(registry.head(repository, "v1")).rejects.toMatchObject({ code: "REGISTRY_RESPONSE" });
  });

  it("do not hide our own mistakes: a 404 about the Accept header is not `missing`", async () => {
    const body = JSON.stringify({
      errors: [
        {
          code: "MANIFEST_UNKNOWN",
          message: "OCI index found, but accept header does not support OCI indexes",
        },
      ],
    });
    server.faults.switchOn({ does: { kind: "status", status: 404, body } });
    await expect(registry.get(repository, "v1")).rejects.toMatchObject({ code: "REGISTRY_RESPONSE" });
  });

  it("are no trouble where a digest header is only left out: the bytes are hashed", async () => {
    const digest = server.push("acme/web", "v1");
    server.faults.switchOn({ does: { kind: "no-digest" } });
    expect(await registry.head(repository, "v1")).toMatchObject({
      digest,
      mediaType: mediaTypes.dockerManifest,
    });
    expect(server.requests.map(({ method }) => method)).toEqual(["HEAD", "GET"]);
  });

  it("carry nothing of the registry's own texts into messages", async () => {
    const body = JSON.stringify({ errors: [{ code: "DENIED", message: "password hunter2 is wrong" }] });
    server.faults.switchOn({ does: { kind: "status", status: 403, body } });
    const error = await registry.get(repository, "v1").catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ code: "REGISTRY_DENIED", message: expect.stringContaining("(DENIED)") });
    expect(String(error)).not.toContain("hunter2");
  });
});

describe("a registry that asks to be left alone", () => {
  const tooMany = (headers: Record<string, string> = {}, times = 1): Fault => ({
    times,
    does: { kind: "status", status: 429, headers },
  });

  it("is not asked again before the time it named, and is asked then", async () => {
    const digest = server.push("acme/web", "v1");
    server.faults.switchOn(tooMany({ "retry-after": "120" }));
    await expect(registry.head(repository, "v1")).rejects.toMatchObject({ retryAfterMs: 120_000 });
    await clock.advance(119_000);
    for (const { call } of calls) {
      await expect(call(registry)).rejects.toMatchObject({
        code: "REGISTRY_UNAVAILABLE",
        retryAfterMs: 1_000,
      });
    }
    expect(server.requests).toHaveLength(1);
    await clock.advance(1_000);
    expect(await registry.head(repository, "v1")).toMatchObject({ digest });
  });

  it("never has its HEAD turned into a GET", async () => {
    server.push("acme/web", "v1");
    server.faults.switchOn(tooMany({}, 9));
    await expect(registry.head(repository, "v1")).rejects.toMatchObject({ code: "REGISTRY_UNAVAILABLE" });
    expect(server.requests).toMatchObject([{ method: "HEAD", status: 429 }]);
  });

  it("without naming a time is left alone for 30 s, then twice as long each time, until it answers", async () => {
    server.push("acme/web", "v1");
    server.faults.switchOn(tooMany({}, 3));
    for (const waitMs of [30_000, 60_000, 120_000]) {
      await expect(registry.head(repository, "v1")).rejects.toMatchObject({ retryAfterMs: waitMs });
      await clock.advance(waitMs);
    }
    await registry.head(repository, "v1");
    server.faults.switchOn(tooMany());
    await expect(registry.head(repository, "v1")).rejects.toMatchObject({ retryAfterMs: 30_000 });
  });

  it("counts calls under way as one refusal", async () => {
    server.faults.switchOn(tooMany({}, 5));
    const asked = await Promise.allSettled([1, 2, 3, 4, 5].map(() => registry.head(repository, "v1")));
    expect(asked.map(({ status }) => status)).toEqual(Array(5).fill("rejected"));
    await clock.advance(30_000);
    expect(await registry.head(repository, "v1")).toBeUndefined();
  });

  it("does not keep another registry waiting", async () => {
    const other = await startSandboxRegistry();
    const digest = other.push("acme/web", "v1");
    const both = ociRegistry({
      registries: [server, other].map(({ host }) => ({ host, plainHttp: true })),
      clock,
    });
    server.faults.switchOn(tooMany());
    await expect(both.head(repository, "v1")).rejects.toMatchObject({ code: "REGISTRY_UNAVAILABLE" });
    expect(await both.head(`${other.host}/acme/web`, "v1")).toMatchObject({ digest });
    await both.close();
    await other.stop();
  });
});

describe("rate limits", () => {
  it("are known for each host from its last manifest answer", async () => {
    server.push("acme/web", "v1");
    expect(registry.limits(server.host)).toBeUndefined();
    const off = server.faults.switchOn({
      does: {
        kind: "status",
        status: 200,
        headers: {
          "content-type": mediaTypes.ociManifest,
          "docker-content-digest": `sha256:${"a".repeat(64)}`,
          "ratelimit-limit": "100;w=21600",
          "ratelimit-remaining": "20;w=21600",
        },
      },
    });
    await registry.head(repository, "v1");
    expect(registry.limits(server.host)).toEqual({ limit: 100, remaining: 20, windowMs: 21_600_000 });
    off();
    await registry.head(repository, "v1");
    expect(registry.limits(server.host)).toBeUndefined();
  });
});

describe("writing a tag", () => {
  it("costs one call", async () => {
    server.push("acme/web", "v1", { mediaType: mediaTypes.ociIndex });
    const manifest = await registry.get(repository, "v1");
    if (manifest === undefined) throw new Error("nothing to write");
    server.forgetRequests();
    await registry.put(repository, "prod", manifest);
    expect(server.requests.map(({ method }) => method)).toEqual(["PUT"]);
  });

  it("says so when the registry stored something else", async () => {
    server.push("acme/web", "v1");
    const manifest = await registry.get(repository, "v1");
    if (manifest === undefined) throw new Error("nothing to write");
    server.faults.switchOn({ when: ({ method }) => method === "PUT", does: { kind: "wrong-digest" } });
    await expect(registry.put(repository, "prod", manifest)).rejects.toMatchObject({
      code: "REGISTRY_RESPONSE",
    });
  });

  it("leaves open what happened when the answer is lost, and never asks twice by itself", async () => {
    server.push("acme/web", "v1");
    const manifest = await registry.get(repository, "v1");
    if (manifest === undefined) throw new Error("nothing to write");
    server.faults.switchOn({ when: ({ method }) => method === "PUT", does: { kind: "lost-answer" } });
    await expect(registry.put(repository, "prod", manifest)).rejects.toMatchObject({
      code: "REGISTRY_UNAVAILABLE",
    });
    expect(await registry.head(repository, "prod")).toMatchObject({ digest: manifest.digest });
    expect(server.requests.filter(({ method }) => method === "PUT")).toHaveLength(1);
  });
});

describe("lists of tags", () => {
  const tags = Array.from({ length: 7 }, (_, index) => `v${index}`);

  it.each<{ link: "relative" | "absolute" | "other-parameter" }>([
    { link: "relative" },
    { link: "absolute" },
    { link: "other-parameter" },
  ])("are read to the last page by $link links", async ({ link }) => {
    for (const tag of tags) server.push("acme/web", tag, { content: "one" });
    server.faults.switchOn({ does: { kind: "paging", size: 3, link } });
    expect((await registry.tags(repository)).toSorted()).toEqual(tags);
    expect(server.requests).toHaveLength(3);
  });

  it("stop at a page that was read before", async () => {
    for (const tag of tags) server.push("acme/web", tag, { content: "one" });
    server.faults.switchOn({ does: { kind: "paging", size: 3, link: "loop" } });
    expect(await registry.tags(repository)).toEqual(tags.slice(0, 3));
    expect(server.requests).toHaveLength(1);
  });

  it("are not followed to another host", async () => {
    for (const tag of tags) server.push("acme/web", tag, { content: "one" });
    server.faults.switchOn({ does: { kind: "paging", size: 3, link: "foreign" } });
    await expect(registry.tags(repository)).rejects.toMatchObject({ code: "REGISTRY_RESPONSE" });
  });

  it("that never end are given up", async () => {
    let page = 0;
    const endless = createServer((_, response) => {
      page += 1;
      response.setHeader("link", `</v2/acme/web/tags/list?page=${page}>; rel="next"`);
      response.end(JSON.stringify({ tags: [`v${page}`] }));
    });
    const host = await listening(endless);
    const asked = ociRegistry({ registries: [{ host, plainHttp: true }], clock });
    await expect(asked.tags(`${host}/acme/web`)).rejects.toMatchObject({ code: "REGISTRY_RESPONSE" });
    expect(page).toBe(200);
    await asked.close();
    endless.close();
  });

  it("are empty once the last tag is gone", async () => {
    const digest = server.push("acme/web", "v1");
    await fetch(`${server.url}/v2/acme/web/manifests/${digest}`, { method: "DELETE" });
    expect(await (await fetch(`${server.url}/v2/acme/web/tags/list`)).json()).toEqual({
      name: "acme/web",
      tags: null,
    });
    expect(await registry.tags(repository)).toEqual([]);
  });
});

describe("platforms", () => {
  it("are read once a digest, with one GET of the manifest and one of the configuration", async () => {
    const digest = server.push("acme/web", "v1");
    const platforms = [{ os: "linux", architecture: "amd64" }];
    expect(await registry.platforms(repository, digest)).toEqual(platforms);
    expect(await registry.platforms(repository, digest)).toEqual(platforms);
    expect(server.requests.map(({ method, path }) => `${method} ${path.split("/").at(-2)}`)).toEqual([
      "GET manifests",
      "GET blobs",
    ]);
  });

  it("are read through redirects to storage, at most three", async () => {
    const digest = server.push("acme/web", "v1");
    const when = ({ path }: { path: string }) => path.includes("/blobs/");
    const away: FaultKind = { kind: "status", status: 307, headers: { location: "?again" } };
    server.faults.switchOn({ when, times: 4, does: away });
    await expect(registry.platforms(repository, digest)).rejects.toMatchObject({ code: "REGISTRY_RESPONSE" });
    server.faults.clear();
    server.faults.switchOn({ when, times: 3, does: away });
    expect(await registry.platforms(repository, digest)).toEqual([{ os: "linux", architecture: "amd64" }]);
  });
});

function monotonicBy(stepMs: number): () => number {
  let at = 0;
  return () => {
    at += stepMs;
    return at;
  };
}

async function listening(server: ReturnType<typeof createServer>): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return typeof address === "object" && address !== null ? `127.0.0.1:${address.port}` : "";
}
