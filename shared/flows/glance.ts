import type { Digest, Repository } from "../domain/reference.ts";
import { messageOf, retryAfterOf } from "../errors.ts";
import { type RefDocument, refId } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";
import { keptEarlier, registryReason } from "./observe.ts";
import { record } from "./record.ts";

/** Where a tag points, for somebody who looks at many. */
export type Glanced =
  | { readonly kind: "seen"; readonly digest: Digest; readonly generation: number }
  | { readonly kind: "missing" }
  | {
      readonly kind: "unavailable";
      /** Stable name. */
      readonly reason: NonNullable<ReturnType<typeof registryReason>>;
      readonly detail: string;
      /** How long the registry asks to be left alone, ms. */
      readonly retryAfterMs?: number;
    };

const maxRounds = 5;

/**
 * One HEAD, and a write only where the tag has moved, under the precondition of what was read before. Nobody is kept
 * from asking meanwhile: a lost race is asked again.
 */
export async function glanceAt(deps: FlowDeps, repository: Repository, tag: string): Promise<Glanced> {
  const id = refId(repository, tag);
  for (let round = 0; round < maxRounds; round++) {
    const stored = await deps.ledger.get("refs", id);
    const ref = stored?.value ?? { repository, tag, generation: 0, earlier: [], dirty: false };
    let digest: Digest;
    try {
      const head = await deps.recorder.step("registry.head", () => deps.registry.head(repository, tag));
      if (head === undefined) return { kind: "missing" };
      digest = head.digest;
    } catch (error) {
      const reason = registryReason(error);
      if (reason === undefined) throw error;
      const retryAfterMs = retryAfterOf(error);
      const after = retryAfterMs === undefined ? {} : { retryAfterMs };
      return { kind: "unavailable", reason, detail: messageOf(error), ...after };
    }
    if (digest === ref.digest) return { kind: "seen", digest, generation: ref.generation };
    const earlier =
      ref.digest === undefined ? ref.earlier : [ref.digest, ...ref.earlier].slice(0, keptEarlier);
    const observedMs = await deps.ledger.clock();
    const next: RefDocument = { ...ref, digest, generation: ref.generation + 1, earlier, observedMs };
    const write = { collection: "refs", id, expect: stored?.rev ?? 0, value: next } as const;
    if ((await record(deps, "ref.seen", [write])) === "written") {
      return { kind: "seen", digest, generation: next.generation };
    }
  }
  const detail = `${id} is being pushed faster than it can be read`;
  return { kind: "unavailable", reason: "registry-unavailable", detail };
}
