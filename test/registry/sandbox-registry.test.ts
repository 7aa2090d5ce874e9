import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { PushEnvelope } from "../../functions/local/sandbox/registry/events.ts";
import { buildImage, type ImageMediaType, mediaTypes } from "../../functions/local/sandbox/registry/image.ts";
import {
  type SandboxRegistry,
  startSandboxRegistry,
} from "../../functions/local/sandbox/registry/registry.ts";
import { pushImage } from "../doubles/image-pusher.ts";

const { dockerManifest, dockerList, ociManifest, ociIndex } = mediaTypes;
const everyType = Object.values(mediaTypes).join(", ");
const schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";

let server: SandboxRegistry;
let events: PushEnvelope["events"][number][];

beforeEach(async () => {
  events = [];
  server = await startSandboxRegistry({ onPush: (envelope) => events.push(...envelope.events) });
});
afterEach(() => server.stop());

function manifests(reference: string, init?: RequestInit): Promise<Response> {
  return fetch(`${server.url}/v2/acme/web/manifests/${reference}`, init);
}

describe("what is answered depends on what is accepted", () => {
  interface Case {
    readonly name: string;
    readonly content: ImageMediaType;
    readonly accept: string;
    readonly status: number;
    readonly type?: string;
    /** Whether the digest is that of the tag. */
    readonly same?: boolean;
  }
  it.each<Case>([
    {
      name: "a manifest for all types",
      content: dockerManifest,
      accept: everyType,
      status: 200,
      type: dockerManifest,
      same: true,
    },
    {
      name: "a manifest for lists only",
      content: dockerManifest,
      accept: dockerList,
      status: 200,
      type: schema1,
      same: false,
    },
    {
      name: "a list for all types",
      content: dockerList,
      accept: everyType,
      status: 200,
      type: dockerList,
      same: true,
    },
    {
      name: "a list for manifests only",
      content: dockerList,
      accept: dockerManifest,
      status: 200,
      type: dockerManifest,
      same: false,
    },
    {
      name: "a list for OCI types only",
      content: dockerList,
      accept: `${ociIndex}, ${ociManifest}`,
      status: 200,
      type: schema1,
      same: false,
    },
    {
      name: "a list for anything",
      content: dockerList,
      accept: "*/*",
      status: 200,
      type: schema1,
      same: false,
    },
    {
      name: "an OCI manifest for Docker types only",
      content: ociManifest,
      accept: `${dockerManifest}, ${dockerList}`,
      status: 404,
    },
    { name: "an OCI index for anything", content: ociIndex, accept: "*/*", status: 404 },
    {
      name: "an OCI index for OCI indexes",
      content: ociIndex,
      accept: ociIndex,
      status: 200,
      type: ociIndex,
      same: true,
    },
  ])("$name", async ({ content, accept, status, type, same }) => {
    const digest = server.push("acme/web", "v1", { mediaType: content });
    const answer = await manifests("v1", { headers: { accept } });
    expect(answer.status).toBe(status);
    if (status === 404) {
      expect(await answer.text()).toContain("accept header does not support OCI");
    } else {
      expect(answer.headers.get("content-type")).toBe(type);
      expect(answer.headers.get("docker-content-digest") === digest).toBe(same);
    }
  });

  it("gives what a digest names to anyone who takes Docker's types", async () => {
    const digest = server.push("acme/web", "v1");
    const answer = await manifests(digest, { headers: { accept: "*/*" } });
    expect(answer.headers.get("content-type")).toBe(dockerManifest);
  });

  it("sends no body to who has it", async () => {
    const digest = server.push("acme/web", "v1");
    const answer = await manifests("v1", { headers: { accept: everyType, "if-none-match": `"${digest}"` } });
    expect(answer.status).toBe(304);
  });
});

describe("what cannot be is refused as the real one refuses it", () => {
  it.each<{ reference: string; status: number; body: string }>([
    { reference: "nope", status: 404, body: '"detail":{"Tag":"nope"}' },
    { reference: `sha256:${"0".repeat(64)}`, status: 404, body: '"Revision":"sha256:0000' },
    { reference: "sha256:abc", status: 500, body: '"code":"UNKNOWN"' },
    { reference: "-v1", status: 404, body: "404 page not found" },
    { reference: "x".repeat(129), status: 404, body: "404 page not found" },
  ])("GET $reference", async ({ reference, status, body }) => {
    server.push("acme/web", "v1");
    const answer = await manifests(reference, { headers: { accept: everyType } });
    expect(answer.status).toBe(status);
    expect(await answer.text()).toContain(body);
  });

  it.each<{ name: string; type: string; reference: string; code: string }>([
    { name: "without a type", type: "", reference: "v2", code: "MANIFEST_INVALID" },
    { name: "as JSON", type: "application/json", reference: "v2", code: "MANIFEST_INVALID" },
    { name: "as another type", type: ociManifest, reference: "v2", code: "MANIFEST_INVALID" },
    {
      name: "under another digest",
      type: dockerManifest,
      reference: `sha256:${"0".repeat(64)}`,
      code: "DIGEST_INVALID",
    },
  ])("PUT of a manifest $name", async ({ type, reference, code }) => {
    const image = buildImage({ content: "one" });
    await pushImage(server.url, "acme/web", "v1", image);
    const answer = await manifests(reference, {
      method: "PUT",
      headers: { "content-type": type },
      body: new Uint8Array(image.manifest.bytes),
    });
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ errors: [{ code }] });
  });

  it("PUT of an index names each manifest that is missing", async () => {
    const { manifest, children } = buildImage({
      content: "one",
      platforms: [
        { os: "linux", architecture: "amd64" },
        { os: "linux", architecture: "arm64" },
      ],
    });
    const answer = await manifests("v1", {
      method: "PUT",
      headers: { "content-type": manifest.mediaType },
      body: new Uint8Array(manifest.bytes),
    });
    expect(await answer.json()).toMatchObject({
      errors: children.map(({ digest }) => ({ code: "MANIFEST_BLOB_UNKNOWN", detail: digest })),
    });
  });

  it("DELETE of a tag, while DELETE of a digest takes all its tags", async () => {
    const digest = server.push("acme/web", "v1", { content: "one" });
    server.push("acme/web", "v2", { content: "one" });
    expect((await manifests("v1", { method: "DELETE" })).status).toBe(400);
    expect((await manifests(digest, { method: "DELETE" })).status).toBe(202);
    expect((await manifests("v2", { headers: { accept: everyType } })).status).toBe(404);
  });
});

describe("blobs", () => {
  const uploads = () => `${server.url}/v2/acme/web/blobs/uploads/`;
  const [blob = Buffer.alloc(0)] = buildImage({ content: "one" }).blobs;

  it("are taken in pieces, and only with the right digest", async () => {
    const opened = await fetch(uploads(), { method: "POST" });
    expect(opened.status).toBe(202);
    const location = opened.headers.get("location") ?? "";
    const patched = await fetch(location, { method: "PATCH", body: new Uint8Array(blob.subarray(0, 20)) });
    expect([patched.status, patched.headers.get("range")]).toEqual([202, "0-19"]);
    const rest = new Uint8Array(blob.subarray(20));
    const wrong = await fetch(`${location}&digest=sha256:${"0".repeat(64)}`, { method: "PUT" });
    expect(wrong.status).toBe(400);
    const done = await fetch(`${location}&digest=${digestOfBlob()}`, {
      method: "PUT",
      body: rest,
    });
    expect(done.status).toBe(201);
    const read = await fetch(`${server.url}/v2/acme/web/blobs/${digestOfBlob()}`);
    expect(Buffer.from(await read.arrayBuffer()).equals(blob)).toBe(true);
    expect((await fetch(location)).status).toBe(404);
  });

  it("are mounted from another repository when they are there", async () => {
    await pushImage(server.url, "acme/base", "v1", buildImage({ content: "one" }));
    const mount = (from: string) =>
      fetch(`${uploads()}?mount=${digestOfBlob()}&from=${from}`, { method: "POST" });
    expect((await mount("acme/none")).status).toBe(202);
    expect(
      (await fetch(`${server.url}/v2/acme/web/blobs/${digestOfBlob()}`, { method: "HEAD" })).status,
    ).toBe(404);
    expect((await mount("acme/base")).status).toBe(201);
    expect(
      (await fetch(`${server.url}/v2/acme/web/blobs/${digestOfBlob()}`, { method: "HEAD" })).status,
    ).toBe(200);
    expect(events.at(-1)).toMatchObject({ action: "mount", target: { fromRepository: "acme/base" } });
  });

  function digestOfBlob(): string {
    const manifest = JSON.parse(buildImage({ content: "one" }).manifest.bytes.toString("utf8"));
    return manifest.layers[0].digest;
  }
});

describe("notifications", () => {
  it("are the same for a real push and for a sandbox push", async () => {
    const image = buildImage({ content: "one", mediaType: ociIndex });
    await pushImage(server.url, "acme/web", "v1", image);
    const real = events.splice(0);
    server.push("acme/web", "v1", { content: "one", mediaType: ociIndex });
    const essence = (list: typeof events) => list.map(({ action, target }) => ({ action, ...target }));
    expect(essence(events)).toEqual(essence(real));
    expect(real.map(({ target }) => [target.mediaType, target.tag])).toEqual([
      ["application/octet-stream", undefined],
      ["application/octet-stream", undefined],
      [ociManifest, undefined],
      [ociIndex, "v1"],
    ]);
    expect(real.at(-1)).toMatchObject({
      action: "push",
      target: { repository: "acme/web", digest: image.manifest.digest, size: image.manifest.bytes.length },
      request: { host: server.host, method: "PUT" },
    });
  });
});

describe("the sandbox's own ways in", () => {
  it("pushes new content each time, or the same for the same content", () => {
    const [one, two] = [server.push("acme/web", "v1"), server.push("acme/web", "v1")];
    expect(one).not.toBe(two);
    expect(server.push("acme/web", "v2", { content: "a" })).toBe(
      server.push("acme/web", "v3", { content: "a" }),
    );
  });

  it("pushes on request, as the line in the README does", async () => {
    const answer = await fetch(`${server.url}/sandbox/push/acme/web:v2`, { method: "POST" });
    expect(answer.status).toBe(201);
    const pushed = await answer.json();
    expect(pushed).toMatchObject({ image: `${server.host}/acme/web:v2` });
    expect(events.at(-1)?.target).toMatchObject({ tag: "v2", digest: (pushed as { digest: string }).digest });
  });

  it("pushes on request an image that runs a command", async () => {
    const body = JSON.stringify({ command: ["sh", "-c", "exit 1"] });
    await fetch(`${server.url}/sandbox/push/acme/web:v2`, { method: "POST", body });
    const manifest = await (await manifests("v2", { headers: { accept: everyType } })).json();
    const { digest } = (manifest as { config: { digest: string } }).config;
    const config = await (await fetch(`${server.url}/v2/acme/web/blobs/${digest}`)).json();
    expect(config).toMatchObject({ config: { Cmd: ["sh", "-c", "exit 1"] } });
  });

  it.each<{ name: string; path: string; method?: string; body?: string; status: number }>([
    { name: "no tag", path: "acme/web", status: 404 },
    { name: "a name in upper case", path: "Acme/web:v1", status: 404 },
    { name: "a GET", path: "acme/web:v1", method: "GET", status: 405 },
    { name: "no JSON", path: "acme/web:v1", body: "exit 1", status: 400 },
    { name: "another key", path: "acme/web:v1", body: '{"cmd":[]}', status: 400 },
  ])("refuses to push on request with $name", async ({ path, method = "POST", body, status }) => {
    const answer = await fetch(`${server.url}/sandbox/push/${path}`, {
      method,
      ...(body === undefined ? {} : { body }),
    });
    expect(answer.status).toBe(status);
    expect(events).toEqual([]);
  });

  it("carries on from a snapshot", async () => {
    await pushImage(server.url, "acme/web", "v1", buildImage({ content: "one", mediaType: ociIndex }));
    const state = JSON.parse(JSON.stringify(server.snapshot()));
    const next = await startSandboxRegistry({ state });
    expect(next.snapshot()).toEqual(state);
    const answer = await fetch(`${next.url}/v2/acme/web/manifests/v1`, { headers: { accept: everyType } });
    const { manifest } = buildImage({ content: "one", mediaType: ociIndex });
    expect(Buffer.from(await answer.arrayBuffer()).equals(manifest.bytes)).toBe(true);
    await next.stop();
  });

  it("keeps a log of requests", async () => {
    await manifests("v1", { method: "HEAD", headers: { "user-agent": "me/1" } });
    expect(server.requests).toEqual([
      { method: "HEAD", path: "/v2/acme/web/manifests/v1", userAgent: "me/1", status: 404 },
    ]);
  });
});
