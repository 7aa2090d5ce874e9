import { describe, expect, it } from "vitest";
import type { Classification } from "../../shared/domain/push.ts";
import { dockerhub } from "../../shared/sources/dockerhub.ts";
import { sourceContract } from "./source-contract.ts";

sourceContract(dockerhub);

const commit = "4f2a9c0d7be1835566a0c1e2d3f4051627384950";
const attached = `sha256-${"a".repeat(64)}`;

/** The least that Docker Hub can send, with changes. */
function read(
  push: Record<string, unknown>,
  repository: unknown = { repo_name: "acme/api" },
): Classification {
  return dockerhub.classify({}, { push_data: { tag: "v1", ...push }, repository });
}

function only(verdict: Classification) {
  if (verdict.outcome !== "accept") throw new Error(`not accepted: ${JSON.stringify(verdict)}`);
  expect(verdict.images).toHaveLength(1);
  return verdict.images[0];
}

describe("dockerhub", () => {
  it.each<{ name: string; repository: unknown; path: string }>([
    { name: "repo_name", repository: { repo_name: "acme/api" }, path: "acme/api" },
    { name: "capital letters", repository: { repo_name: "Acme/Api" }, path: "acme/api" },
    { name: "a bare official image", repository: { repo_name: "nginx" }, path: "library/nginx" },
    { name: "a full official image", repository: { repo_name: "library/nginx" }, path: "library/nginx" },
    {
      name: "namespace and name",
      repository: { namespace: "acme", name: "api", repo_name: null },
      path: "acme/api",
    },
    {
      name: "repo_name over the parts",
      repository: { repo_name: "a/b", namespace: "c", name: "d" },
      path: "a/b",
    },
    { name: "a name like a host", repository: { repo_name: "localhost/api" }, path: "localhost/api" },
    { name: "two underscores", repository: { repo_name: "acme/a__b--c.d" }, path: "acme/a__b--c.d" },
  ])("reads the repository from $name", ({ repository, path }) => {
    expect(only(read({}, repository))).toMatchObject({ registry: "docker.io", repository: path });
  });

  it.each<{ name: string; repository: unknown }>([
    { name: "missing", repository: undefined },
    { name: "null", repository: null },
    { name: "a text", repository: "acme/api" },
    { name: "a list", repository: ["acme/api"] },
    { name: "without a name", repository: { repo_url: "https://hub.docker.com/r/acme/api" } },
    { name: "with a number as name", repository: { repo_name: 7 } },
    { name: "with half of a name", repository: { namespace: "acme" } },
    { name: "ungrammatical", repository: { repo_name: "acme/-api" } },
    { name: "with a tag in the name", repository: { repo_name: "acme/api:v1" } },
    { name: "with a foreign letter that lower-cases to k", repository: { repo_name: "acme/\u212A" } },
    { name: "too long", repository: { repo_name: `acme/${"a".repeat(300)}` } },
  ])("rejects a repository that is $name", ({ repository }) => {
    expect(dockerhub.classify({}, { push_data: { tag: "v1" }, repository }).outcome).toBe("reject");
  });

  it.each<{ name: string; push_data: unknown }>([
    { name: "missing", push_data: undefined },
    { name: "null", push_data: null },
    { name: "without a tag", push_data: {} },
    { name: "with a number as tag", push_data: { tag: 1.8 } },
    { name: "with a null tag", push_data: { tag: null } },
  ])("rejects push_data that is $name", ({ push_data }) => {
    expect(dockerhub.classify({}, { repository: { repo_name: "acme/api" }, push_data }).outcome).toBe(
      "reject",
    );
  });

  it.each<{ name: string; tag: string; reason: string }>([
    { name: "an empty tag", tag: "", reason: "untagged" },
    { name: "a tag that starts with a dot", tag: ".v1", reason: "untagged" },
    { name: "a tag of 129 characters", tag: "a".repeat(129), reason: "untagged" },
    { name: "a digest as tag", tag: `sha256:${"a".repeat(64)}`, reason: "untagged" },
    { name: "a signature", tag: `${attached}.sig`, reason: "attached-artifact" },
    { name: "an attestation", tag: `${attached}.att`, reason: "attached-artifact" },
    { name: "a bill of materials", tag: `${attached}.sbom`, reason: "attached-artifact" },
    { name: "a referrers fallback", tag: attached, reason: "attached-artifact" },
  ])("ignores $name", ({ tag, reason }) => {
    expect(read({ tag })).toEqual({ outcome: "ignore", reason });
  });

  it("keeps a tag's case, and takes one that only resembles a signature's as an image's", () => {
    expect(only(read({ tag: "RC1" }))?.tag).toBe("RC1");
    expect(only(read({ tag: `${attached}.txt` }))?.tag).toBe(`${attached}.txt`);
  });

  it.each<{ name: string; tag: string; isCommit: boolean }>([
    { name: "40 hex digits", tag: commit, isCommit: true },
    { name: "64 hex digits", tag: "a".repeat(64), isCommit: true },
    { name: "39 hex digits", tag: commit.slice(1), isCommit: false },
    { name: "65 hex digits", tag: "a".repeat(65), isCommit: false },
    { name: "40 hex digits in capitals", tag: commit.toUpperCase(), isCommit: false },
    { name: "a short hash", tag: "4f2a9c0", isCommit: false },
    { name: "a hash after a name", tag: `main-${commit}`, isCommit: false },
  ])("takes a tag of $name for a commit: $isCommit", ({ tag, isCommit }) => {
    expect(only(read({ tag }))?.commit).toBe(isCommit ? tag : undefined);
  });

  it.each<{ name: string; pushed_at: unknown; pushedAt: string | undefined }>([
    { name: "an integer", pushed_at: 1718000000, pushedAt: "2024-06-10T06:13:20.000Z" },
    { name: "a float", pushed_at: 1.417566161e9, pushedAt: "2014-12-03T00:22:41.000Z" },
    { name: "a numeric text", pushed_at: "1718000000", pushedAt: "2024-06-10T06:13:20.000Z" },
    { name: "a float as text", pushed_at: "1.417566161e+09", pushedAt: "2014-12-03T00:22:41.000Z" },
    { name: "nothing", pushed_at: undefined, pushedAt: undefined },
    { name: "null", pushed_at: null, pushedAt: undefined },
    { name: "a word", pushed_at: "yesterday", pushedAt: undefined },
    { name: "an empty text", pushed_at: "", pushedAt: undefined },
    { name: "hexadecimal", pushed_at: "0x10", pushedAt: undefined },
    { name: "an object", pushed_at: {}, pushedAt: undefined },
    { name: "zero", pushed_at: 0, pushedAt: undefined },
    { name: "a time before 1970", pushed_at: -5, pushedAt: undefined },
    { name: "a time beyond all calendars", pushed_at: 1e300, pushedAt: undefined },
    { name: "milliseconds", pushed_at: 1718000000000, pushedAt: undefined },
  ])("reads pushed_at from $name", ({ pushed_at, pushedAt }) => {
    expect(only(read({ pushed_at }))?.pushedAt).toBe(pushedAt);
  });

  it.each<{ name: string; pusher: unknown }>([
    { name: "a number", pusher: 7 },
    { name: "empty", pusher: "" },
    { name: "a megabyte long", pusher: "a".repeat(1_000_000) },
    { name: "half of a surrogate pair", pusher: "\ud800" },
  ])("treats a pusher that is $name as absent", ({ pusher }) => {
    expect(only(read({ pusher }))).not.toHaveProperty("pusher");
  });

  it.each<{ name: string; media_type: unknown; outcome: string }>([
    { name: "a Helm chart", media_type: "application/vnd.cncf.helm.config.v1+json", outcome: "ignore" },
    { name: "an index", media_type: "application/vnd.oci.image.index.v1+json", outcome: "accept" },
    { name: "no text", media_type: 1, outcome: "accept" },
    { name: "absent", media_type: undefined, outcome: "accept" },
  ])("lets a media type that is $name decide: $outcome", ({ media_type, outcome }) => {
    expect(read({ media_type }).outcome).toBe(outcome);
  });

  it.each([[[]], [null], [undefined], ["x"], [[{ digest: "sha256:1" }]]])(
    "takes no digest from images %j",
    (images) => {
      expect(only(read({ images }))).not.toHaveProperty("digest");
    },
  );
});
