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
  manifests: z.optional(z.array(z.object({ digest: z.string() }))),
  config: z.optional(z.object({ digest: z.string() })),
});

export function newProver(deps: FlowDeps, target: Target): Prover {
  let asked: Promise<ReadonlyMap<string, ReportedDigests> | string> | undefined;
  const contents = new Map<string, Promise<Content | undefined>>();

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
      const same = await Promise.all(reported.map((digest) => isSame(candidate, digest ?? first, content)));
      if (same.every((each) => each)) return { kind: "runs", digest: candidate };
    }
    if (reported.every((digest) => digest === first)) return { kind: "runs", digest: first };
    return unpinned("it names its image without a digest, and its tasks run different ones");
  };
}

function unpinned(detail: string): Proof {
  return { kind: "unknown", reason: "unpinned", detail };
}

type Content =
  | { readonly kind: "index"; readonly children: readonly Digest[] }
  | { readonly kind: "manifest"; readonly config: string };

/**
 * Whether a task that reports a digest runs what is meant: that manifest is one of the meant index, or it has the same
 * configuration. Nodes name an image that they have under several manifests by the one that they got first.
 */
async function isSame(
  meant: Digest,
  reported: Digest,
  contentOf: (digest: Digest) => Promise<Content | undefined>,
): Promise<boolean> {
  if (reported === meant) return true;
  const content = await contentOf(meant);
  if (content?.kind === "index") return content.children.includes(reported);
  const running = content === undefined ? undefined : await contentOf(reported);
  return running?.kind === "manifest" && running.config === content?.config;
}

async function readContent(
  deps: FlowDeps,
  repository: Repository,
  digest: Digest,
): Promise<Content | undefined> {
  try {
    const manifest = await deps.recorder.step("registry.get", () => deps.registry.get(repository, digest));
    const read = manifest && readJson(WireContent, Buffer.from(manifest.bytes));
    if (read?.manifests !== undefined) {
      const children = read.manifests.map((each) => each.digest).filter((each) => isDigest(each));
      return { kind: "index", children };
    }
    return read?.config && { kind: "manifest", config: read.config.digest };
  } catch (error) {
    if (registryReason(error) === undefined) throw error;
    return undefined;
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
