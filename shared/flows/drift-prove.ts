import * as z from "zod/mini";
import { type Digest, isDigest, type Repository } from "../domain/reference.ts";
import type { Container, Workload } from "../domain/workload.ts";
import { isTargetTrouble, messageOf } from "../errors.ts";
import { readJson } from "../json.ts";
import type { ReportedDigests, Target } from "../targets/target.ts";
import type { FlowDeps } from "./deps.ts";
import { registryReason } from "./observe.ts";

/** What the tasks of a container prove to run whose definition names no digest. */
export type Proof =
  | { readonly kind: "runs"; readonly digest: Digest }
  | { readonly kind: "unknown"; readonly reason: "unpinned" | "not-comparable"; readonly detail: string };

/**
 * Asks a target what its tasks report, at the first container that needs it.
 * @param candidates digests that are compared with, what is wanted first: a task that runs one of them may report another
 */
export type Prover = (
  workload: Workload,
  container: Container,
  repository: Repository,
  candidates: readonly Digest[],
) => Promise<Proof>;

/** https://github.com/opencontainers/image-spec/blob/v1.1.0/image-index.md and manifest.md: what two images are compared by. */
const WireContent = z.object({
  manifests: z.optional(
    z.array(z.object({ digest: z.string(), platform: z.nullish(z.object({ os: z.nullish(z.string()) })) })),
  ),
  config: z.optional(z.object({ digest: z.string() })),
});

export function newProver(deps: FlowDeps, target: Target): Prover {
  let asked: Promise<ReadonlyMap<string, ReportedDigests> | string> | undefined;
  const contents = new Map<string, Promise<Content>>();

  const contentOf = (repository: Repository, digest: Digest) => {
    const known = contents.get(digest);
    if (known !== undefined) return known;
    const asking = readContent(deps, repository, digest);
    contents.set(digest, asking);
    return asking;
  };

  return async (workload, container, repository, candidates) => {
    if (target.reported === undefined) {
      return unpinned("it names its image without a digest, and its target does not say what a tag became");
    }
    asked ??= askTarget(deps, target);
    const found = await asked;
    if (typeof found === "string") {
      return unpinned(`it names its image without a digest, and what runs cannot be asked: ${found}`);
    }
    const reported = found.get(workload.name)?.[container.name] ?? [];
    const [first] = reported;
    if (reported.length === 0) {
      return unpinned("it names its image without a digest, and nothing runs that would prove one");
    }
    if (first === undefined || reported.includes(undefined)) {
      const detail = "a task reports the id of an image that was loaded on its node, which no registry knows";
      return { kind: "unknown", reason: "not-comparable", detail };
    }
    const content = (digest: Digest) => contentOf(repository, digest);
    for (const candidate of candidates) {
      const compared = await Promise.all(
        reported.map((digest) => compare(candidate, digest ?? first, content)),
      );
      if (compared.every((each) => each === "same")) return { kind: "runs", digest: candidate };
      const silent = compared.find((each) => typeof each === "object");
      if (silent !== undefined) return { kind: "unknown", reason: "not-comparable", detail: silent.detail };
    }
    if (reported.every((digest) => digest === first)) return { kind: "runs", digest: first };
    return unpinned("it names its image without a digest, and its tasks run different ones");
  };
}

function unpinned(detail: string): Proof {
  return { kind: "unknown", reason: "unpinned", detail };
}

type Content =
  /** `children`: what runs somewhere; what a builder attests of them is left out. */
  | { readonly kind: "index"; readonly children: readonly Digest[] }
  | { readonly kind: "manifest"; readonly config: string }
  /** The registry has no such manifest. */
  | { readonly kind: "none" }
  | Silent;

/** The registry cannot be asked, in words. */
interface Silent {
  readonly kind: "silent";
  readonly detail: string;
}

/**
 * Whether a task that reports a digest runs what is meant: that manifest is one of the meant index, or it has the same
 * configuration, or it is an index of nothing but manifests of the meant one. Nodes name an image that they have under
 * several manifests by the one that they got first.
 */
async function compare(
  meant: Digest,
  reported: Digest,
  contentOf: (digest: Digest) => Promise<Content>,
): Promise<"same" | "other" | Silent> {
  if (reported === meant) return "same";
  const content = await contentOf(meant);
  if (content.kind === "silent") return content;
  const parts = content.kind === "index" ? content.children : [meant];
  if (parts.includes(reported)) return "same";
  const running = await contentOf(reported);
  switch (running.kind) {
    case "silent":
      return running;
    case "none":
      return "other";
    case "index":
      return running.children.length > 0 && running.children.every((each) => parts.includes(each))
        ? "same"
        : "other";
    case "manifest":
      return content.kind === "manifest" && running.config === content.config ? "same" : "other";
    default:
      return running satisfies never;
  }
}

async function readContent(deps: FlowDeps, repository: Repository, digest: Digest): Promise<Content> {
  try {
    const manifest = await deps.recorder.step("registry.get", () => deps.registry.get(repository, digest));
    const read = manifest && readJson(WireContent, Buffer.from(manifest.bytes));
    if (read?.manifests !== undefined) {
      const runnable = read.manifests.filter(({ platform }) => platform?.os !== "unknown");
      return {
        kind: "index",
        children: runnable.map((each) => each.digest).filter((each) => isDigest(each)),
      };
    }
    return read?.config === undefined ? { kind: "none" } : { kind: "manifest", config: read.config.digest };
  } catch (error) {
    if (registryReason(error) === undefined) throw error;
    return { kind: "silent", detail: messageOf(error) };
  }
}

/** What the target's tasks report, or why it cannot be asked. */
async function askTarget(
  deps: FlowDeps,
  target: Target,
): Promise<ReadonlyMap<string, ReportedDigests> | string> {
  try {
    const reported = await deps.recorder.step(
      "target.list",
      async () => (await target.reported?.()) ?? new Map<string, ReportedDigests>(),
    );
    return reported;
  } catch (error) {
    if (!isTargetTrouble(error)) throw error;
    return messageOf(error);
  }
}
