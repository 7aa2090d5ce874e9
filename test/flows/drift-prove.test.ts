import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { Digest, Repository } from "../../shared/domain/reference.ts";
import { RegistryUnavailableError, TargetDeniedError } from "../../shared/errors.ts";
import { newBudget } from "../../shared/flows/deps.ts";
import { fullRun } from "../../shared/flows/full-run.ts";
import type { Manifest } from "../../shared/registry/registry.ts";
import { type World, world } from "./world.ts";

const repository: Repository = "docker.io/acme/web";
const mediaType = "application/vnd.oci.image.index.v1+json";

const manifests = new Map<string, Manifest>();
function manifest(content: object): Digest {
  const bytes = Buffer.from(JSON.stringify(content));
  const digest: Digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  manifests.set(digest, { digest, mediaType, bytes });
  return digest;
}

const config = (letter: string) => ({ config: { digest: `sha256:${letter.repeat(64)}` } });
const single = manifest({ ...config("c"), schemaVersion: 2 });
/** The same configuration once more: one line more, or another annotation. */
const again = manifest({ ...config("c"), schemaVersion: 2, annotations: { built: "again" } });
const stranger = manifest({ ...config("d"), schemaVersion: 2 });
const index = manifest({ schemaVersion: 2, manifests: [{ digest: single }, { digest: stranger }] });
/** As a builder pushes it once more: what it attests is new, what runs is not. */
const attested = (built: string) => {
  const attestation = {
    digest: `sha256:${built.repeat(64)}`,
    platform: { os: "unknown", architecture: "unknown" },
  };
  const platform = { os: "linux", architecture: "amd64" };
  return manifest({ schemaVersion: 2, manifests: [{ digest: single, platform }, attestation] });
};

interface Case {
  readonly name: string;
  readonly image?: string;
  /** Where the tag points. */
  readonly wanted: Digest;
  /** What pods report; absent: their target tells nothing. */
  readonly reported?: readonly (Digest | undefined)[];
  readonly verdict: string;
  readonly reason?: string;
}

function standing({ image = "acme/web:v1", wanted, reported }: Case): World {
  const here = world({ workloads: { web: image } });
  here.registry.push(repository, "v1", wanted);
  here.registry.get = async (_, digest) => manifests.get(digest);
  if (reported !== undefined) here.target.reported = async () => new Map([["web", { web: reported }]]);
  return here;
}

async function rowOf(here: World) {
  const deps = here.instance();
  const order = { dryRun: false, adopt: false, by: "test" };
  const done = await fullRun(deps, order, newBudget(deps.clock));
  if (done.kind === "busy") throw new Error("another run is under way");
  return done.rows?.[0];
}

describe("what runs is compared with what is wanted", () => {
  it.each<Case>([
    { name: "pinned to the index", image: `acme/web:v1@${index}`, wanted: index, verdict: "in-sync" },
    { name: "a pod reports the index", wanted: index, reported: [index], verdict: "in-sync" },
    { name: "a pod reports a manifest of the index", wanted: index, reported: [single], verdict: "in-sync" },
    { name: "pods of two platforms", wanted: index, reported: [single, stranger, index], verdict: "in-sync" },
    {
      name: "side-loaded: a pod reports the id of a configuration",
      wanted: index,
      reported: [undefined],
      verdict: "unknown",
      reason: "not-comparable",
    },
    {
      name: "one of two pods is side-loaded",
      wanted: index,
      reported: [index, undefined],
      verdict: "unknown",
      reason: "not-comparable",
    },
    {
      name: "the same configuration under a new manifest",
      wanted: again,
      reported: [single],
      verdict: "in-sync",
    },
    {
      name: "the same manifests under a new index",
      wanted: attested("2"),
      reported: [attested("1")],
      verdict: "in-sync",
    },
    {
      name: "an index that lacks a manifest since",
      wanted: attested("2"),
      reported: [index],
      verdict: "new",
    },
    { name: "another configuration", wanted: again, reported: [stranger, stranger], verdict: "new" },
    {
      name: "pods run different ones",
      wanted: again,
      reported: [stranger, index],
      verdict: "unknown",
      reason: "unpinned",
    },
    { name: "nothing runs", wanted: index, reported: [], verdict: "unknown", reason: "unpinned" },
    { name: "its target tells nothing", wanted: index, verdict: "unknown", reason: "unpinned" },
  ])("$name: $verdict", async (of) => {
    const here = standing(of);
    const row = await rowOf(here);
    expect(row?.verdict).toBe(of.verdict);
    expect(row?.reason?.split(":")[0]).toBe(of.reason);
    await here.settle();
    expect(here.target.writes).toEqual([]);
  });

  it("repairs what its pods prove to run as it was deployed, and pins it then", async () => {
    const of: Case = { name: "", wanted: stranger, reported: [single], verdict: "" };
    const here = standing(of);
    await rowOf(here);
    here.registry.push(repository, "v1", again);
    expect((await rowOf(here))?.verdict).toBe("in-sync");
    here.registry.push(repository, "v1", stranger);
    expect((await rowOf(here))?.verdict).toBe("missed");
    await here.settle();
    expect(here.target.imageOf("web")).toBe(`${repository}:v1@${stranger}`);
  });

  it("takes a manifest of the index that was deployed for what was deployed", async () => {
    const before = manifest({ schemaVersion: 2, manifests: [{ digest: again }] });
    const here = standing({ name: "", image: `acme/web:v1@${stranger}`, wanted: before, verdict: "" });
    here.undelivered.push(here.hear("e1"));
    await here.settle();
    // Somebody applied its definition once more, which names no digest.
    here.target.create("web", "acme/web:v1", { tasks: 2 });
    here.target.reported = async () => new Map([["web", { web: [again, again] }]]);
    expect((await rowOf(here))?.verdict).toBe("in-sync");
    here.registry.push(repository, "v1", index);
    expect((await rowOf(here))?.verdict).toBe("missed");
  });

  it("deploys nothing while the registry does not say what it is compared with", async () => {
    const here = standing({ name: "", wanted: index, reported: [index], verdict: "" });
    await rowOf(here);
    const next = manifest({ schemaVersion: 2, manifests: [{ digest: single }] });
    here.registry.push(repository, "v1", next);
    here.target.reported = async () => new Map([["web", { web: [single] }]]);
    here.registry.get = async () => {
      throw new RegistryUnavailableError("docker.io answered 429");
    };
    const row = await rowOf(here);
    expect(row).toMatchObject({ verdict: "unknown", reason: "not-comparable: docker.io answered 429" });
    await here.settle();
    expect(here.target.writes).toEqual([]);
  });

  it("says why pods cannot be asked", async () => {
    const here = standing({ name: "", wanted: index, verdict: "" });
    here.target.reported = async () => {
      throw new TargetDeniedError("swarm: pods is forbidden");
    };
    expect((await rowOf(here))?.reason).toMatch(/^unpinned: .*pods is forbidden$/);
  });
});
