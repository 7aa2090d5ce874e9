import { describe, expect, it } from "vitest";
import type { Classification } from "../../shared/domain/push.ts";
import { native } from "../../shared/sources/native.ts";
import { sourceContract } from "./source-contract.ts";

sourceContract(native);

function read(body: Record<string, unknown>): Classification {
  return native.classify({}, { image_name: "gcr.io/acme/api", tag: "v1", ...body });
}

describe("native", () => {
  it.each<{ image_name: string; registry: string; repository: string }>([
    { image_name: "gcr.io/acme-prod/api", registry: "gcr.io", repository: "acme-prod/api" },
    { image_name: "GCR.io/Acme/Api", registry: "gcr.io", repository: "acme/api" },
    { image_name: "localhost:5000/api", registry: "localhost:5000", repository: "api" },
    { image_name: "localhost/api", registry: "localhost", repository: "api" },
    { image_name: "index.docker.io/nginx", registry: "docker.io", repository: "library/nginx" },
    { image_name: "acme/api", registry: "docker.io", repository: "acme/api" },
    { image_name: "Acme/api", registry: "docker.io", repository: "acme/api" },
  ])("reads $image_name as $registry and $repository", ({ image_name, registry, repository }) => {
    expect(read({ image_name })).toMatchObject({ outcome: "accept", images: [{ registry, repository }] });
  });

  it.each<{ name: string; body: Record<string, unknown> }>([
    { name: "a tag in the image's name", body: { image_name: "gcr.io/acme/api:v1" } },
    {
      name: "a digest in the image's name",
      body: { image_name: `gcr.io/acme/api@sha256:${"a".repeat(64)}` },
    },
    { name: "a tag on a name without a slash", body: { image_name: "api:v1" } },
    { name: "a host alone", body: { image_name: "gcr.io/" } },
    { name: "a URL", body: { image_name: "https://gcr.io/acme/api" } },
    { name: "an empty name", body: { image_name: "" } },
    { name: "a number as name", body: { image_name: 1 } },
    { name: "no name", body: { image_name: undefined } },
    { name: "no tag", body: { tag: undefined } },
    { name: "a null tag", body: { tag: null } },
    { name: "a number as tag", body: { tag: 8 } },
  ])("rejects $name", ({ body }) => {
    expect(read(body).outcome).toBe("reject");
  });

  it.each<{ tag: string; reason: string }>([
    { tag: "", reason: "untagged" },
    { tag: "-v1", reason: "untagged" },
    { tag: "12345_6", reason: "tryjob" },
    { tag: "2021-04-30T14_04_37Z-user-c3ecfbb-dirty", reason: "dirty" },
    { tag: `sha256-${"a".repeat(64)}.sig`, reason: "attached-artifact" },
  ])("ignores the tag `$tag` as $reason", ({ tag, reason }) => {
    expect(read({ tag })).toEqual({ outcome: "ignore", reason });
  });

  it.each([["2021-04-30T14_04_37Z-user-c3ecfbb-clean"], ["12_34_56"], ["v1_2"], ["dirty-v1"], ["_1"]])(
    "accepts the tag %s, which is neither a try job's nor dirty",
    (tag) => {
      expect(read({ tag })).toMatchObject({ outcome: "accept", images: [{ tag }] });
    },
  );

  it.each([[7], [""], [null], [{}], ["x".repeat(10_000)]])("treats the repo %j as absent", (repo) => {
    const verdict = read({ repo });
    expect(verdict.outcome).toBe("accept");
    expect(verdict.outcome === "accept" && verdict.images[0]).not.toHaveProperty("repoUrl");
  });
});
