import { describe, expect, it } from "vitest";
import type { Classification, ImagePush } from "../../shared/domain/push.ts";
import { distribution } from "../../shared/sources/distribution.ts";
import { sourceContract } from "./source-contract.ts";

sourceContract(distribution);

const digest = `sha256:${"3".repeat(64)}`;
const index = "application/vnd.oci.image.index.v1+json";

interface Changes {
  readonly [field: string]: unknown;
  readonly target?: Readonly<Record<string, unknown>>;
}

function event({ target, ...changes }: Changes = {}): Record<string, unknown> {
  return {
    id: "e1",
    timestamp: "2024-06-10T06:13:20.402973972Z",
    action: "push",
    target: { mediaType: index, digest, repository: "billing/api", tag: "1.8.0", ...target },
    request: { host: "registry.example.com:5000" },
    actor: { name: "ci" },
    ...changes,
  };
}

function read(...events: readonly unknown[]): Classification {
  return distribution.classify({}, { events });
}

function imagesOf(verdict: Classification): readonly ImagePush[] {
  return verdict.outcome === "accept" ? verdict.images : [];
}

describe("distribution", () => {
  it.each([
    ["application/vnd.oci.image.manifest.v1+json"],
    ["application/vnd.oci.image.index.v1+json"],
    ["application/vnd.docker.distribution.manifest.v2+json"],
    ["application/vnd.docker.distribution.manifest.list.v2+json"],
  ])("accepts a tagged push of %s", (mediaType) => {
    expect(imagesOf(read(event({ target: { mediaType } })))).toHaveLength(1);
  });

  it.each<{ name: string; changes: Changes; reason: string }>([
    { name: "a pull", changes: { action: "pull" }, reason: "not-a-push" },
    { name: "a deletion of a tag", changes: { action: "delete" }, reason: "not-a-push" },
    { name: "a mount", changes: { action: "mount" }, reason: "not-a-push" },
    { name: "an action in capitals", changes: { action: "PUSH" }, reason: "not-a-push" },
    { name: "no action", changes: { action: undefined }, reason: "not-a-push" },
    {
      name: "a blob",
      changes: { target: { mediaType: "application/octet-stream", tag: undefined } },
      reason: "not-a-push",
    },
    {
      name: "a blob with a tag",
      changes: { target: { mediaType: "application/octet-stream" } },
      reason: "not-a-push",
    },
    {
      name: "an image's config",
      changes: { target: { mediaType: "application/vnd.oci.image.config.v1+json" } },
      reason: "not-a-push",
    },
    { name: "a manifest by digest", changes: { target: { tag: undefined } }, reason: "untagged" },
    { name: "an empty tag", changes: { target: { tag: "" } }, reason: "untagged" },
    { name: "a tag that is none", changes: { target: { tag: "a b" } }, reason: "untagged" },
    { name: "a number as tag", changes: { target: { tag: 1 } }, reason: "untagged" },
    {
      name: "a signature",
      changes: { target: { tag: `sha256-${"a".repeat(64)}.sig` } },
      reason: "attached-artifact",
    },
    { name: "no host", changes: { request: {} }, reason: "not-a-push" },
    { name: "a host that is none", changes: { request: { host: "a b" } }, reason: "not-a-push" },
    { name: "a host with a path", changes: { request: { host: "evil/x" } }, reason: "not-a-push" },
    { name: "no repository", changes: { target: { repository: null } }, reason: "not-a-push" },
    {
      name: "an ungrammatical repository",
      changes: { target: { repository: "a//b" } },
      reason: "not-a-push",
    },
  ])("ignores $name", ({ changes, reason }) => {
    expect(read(event(changes))).toEqual({ outcome: "ignore", reason });
  });

  it.each<{ name: string; body: Record<string, unknown> }>([
    { name: "no events", body: {} },
    { name: "empty events", body: { events: [] } },
    { name: "null", body: { events: null } },
    { name: "a text", body: { events: "push" } },
    { name: "an object", body: { events: event() } },
    { name: "only broken events", body: { events: [null, 1, "x", [], {}, { action: "push" }] } },
  ])("ignores an envelope with $name, which a registry would repeat for ever if refused", ({ body }) => {
    expect(distribution.classify({}, body)).toEqual({ outcome: "ignore", reason: "not-a-push" });
  });

  it("passes over broken events beside a good one", () => {
    expect(imagesOf(read(null, event(), { action: "push", target: "x" }))).toHaveLength(1);
  });

  it("reads each event for itself and keeps their order", () => {
    const events = ["b", "a", "c"].map((tag) => event({ id: tag, target: { tag } }));
    expect(imagesOf(read(...events)).map((image) => image.tag)).toEqual(["b", "a", "c"]);
  });

  it("drops an event whose id it has seen, and keeps all that have none", () => {
    expect(imagesOf(read(event(), event({ target: { tag: "2" } })))).toHaveLength(1);
    expect(imagesOf(read(event({ id: undefined }), event({ id: undefined })))).toHaveLength(2);
  });

  it("names a signature before a manifest without a tag when nothing else is left", () => {
    const signature = event({ target: { tag: `sha256-${"a".repeat(64)}` } });
    expect(read(event({ id: "e2", target: { tag: undefined } }), signature)).toEqual({
      outcome: "ignore",
      reason: "attached-artifact",
    });
  });

  it.each<{ host: string; registry: string }>([
    { host: "Registry.Example.com:5000", registry: "registry.example.com:5000" },
    { host: "registry", registry: "registry" },
    { host: "localhost:5000", registry: "localhost:5000" },
    { host: "[::1]:5000", registry: "[::1]:5000" },
    { host: "index.docker.io", registry: "docker.io" },
  ])("takes $host as the registry $registry, never guessing another", ({ host, registry }) => {
    expect(imagesOf(read(event({ request: { host } })))[0]).toMatchObject({
      registry,
      repository: "billing/api",
    });
  });

  it("lower-cases the repository, keeps the tag's case, and takes the event's id as delivery id", () => {
    expect(imagesOf(read(event({ target: { repository: "Billing/API", tag: "RC1" } })))[0]).toMatchObject({
      repository: "billing/api",
      tag: "RC1",
      deliveryId: "e1",
    });
  });

  it.each<{ name: string; changes: Changes; absent: string }>([
    { name: "a digest in capitals", changes: { target: { digest: digest.toUpperCase() } }, absent: "digest" },
    { name: "a short digest", changes: { target: { digest: "sha256:abc" } }, absent: "digest" },
    {
      name: "a sha512 digest",
      changes: { target: { digest: `sha512:${"a".repeat(128)}` } },
      absent: "digest",
    },
    { name: "the year 1", changes: { timestamp: "0001-01-01T00:00:00Z" }, absent: "pushedAt" },
    { name: "a time without a zone", changes: { timestamp: "2024-06-10T06:13:20" }, absent: "pushedAt" },
    { name: "a 31st of February", changes: { timestamp: "2024-13-31T06:13:20Z" }, absent: "pushedAt" },
    { name: "a number as time", changes: { timestamp: 1718000000 }, absent: "pushedAt" },
    { name: "an actor that is a text", changes: { actor: "ci" }, absent: "pusher" },
    { name: "an actor without a name", changes: { actor: {} }, absent: "pusher" },
    { name: "no actor", changes: { actor: undefined }, absent: "pusher" },
  ])("accepts $name, without $absent", ({ changes, absent }) => {
    const [image] = imagesOf(read(event(changes)));
    expect(image).toBeDefined();
    expect(image).not.toHaveProperty(absent);
  });

  it("reads a time of another zone as UTC", () => {
    const [image] = imagesOf(read(event({ timestamp: "2024-06-10T08:13:20+02:00" })));
    expect(image?.pushedAt).toBe("2024-06-10T06:13:20.000Z");
  });

  it("takes the configured header verbatim or after `Bearer`", () => {
    const bytes = Buffer.from("{}");
    const proves = (authorization: string, secret: string) =>
      distribution.authenticate({ headers: { authorization }, bytes }, secret);
    expect(proves("Basic cmVnaXN0cnk6c2VjcmV0", "Basic cmVnaXN0cnk6c2VjcmV0")).toBe(true);
    expect(proves("registry-shared-secret", "registry-shared-secret")).toBe(true);
    expect(proves("bearer registry-shared-secret", "registry-shared-secret")).toBe(true);
    expect(proves("registry-shared-secret ", "registry-shared-secret")).toBe(false);
    expect(proves("Basic registry-shared-secret", "registry-shared-secret")).toBe(false);
  });
});
