import type { Digest, Repository } from "../domain/reference.ts";
import {
  messageOf,
  RegistryDeniedError,
  RegistryResponseError,
  RegistryUnavailableError,
  retryAfterOf,
} from "../errors.ts";
import { type RefDocument, refId, type Stored, type Write } from "../ledger/ledger.ts";
import type { ManifestHead } from "../registry/registry.ts";
import type { FlowDeps } from "./deps.ts";
import { record } from "./record.ts";

export type Observation =
  | {
      readonly kind: "observed";
      readonly digest: Digest;
      readonly generation: number;
      /** Whether the tag had been observed before, at another digest. */
      readonly moved: boolean;
      /** The digest that was known before this look; absent on the first one. */
      readonly before?: Digest;
      /** The tag points to a digest that it had pointed to earlier. */
      readonly movedBack: boolean;
      readonly atMs: number;
      readonly owed?: Owed;
    }
  /** Somebody else is asking the registry and will look once more because of us. */
  | { readonly kind: "joined"; readonly holder: string }
  | { readonly kind: "missing"; readonly owed?: Owed }
  | {
      readonly kind: "unavailable";
      readonly reason: "registry-unavailable" | "registry-denied" | "registry-response";
      readonly message: string;
      readonly retryAfterMs?: number;
      readonly owed?: Owed;
    };

/**
 * Others rely on this look, whose own messages are acknowledged: until this is written, together with what came of the
 * look, the ref stays due and the sweep repeats the look of one who died.
 */
export type Owed = Extract<Write, { readonly collection: "refs" }>;

/** How long a look at the registry is believed to be under way, ms: longer than any deadline in it. */
const holdMs = 30_000;
/** How long whoever has looked may take until what came of it is on record, ms. */
const owedMs = 60_000;
export const keptEarlier = 20;
const maxRounds = 20;

/**
 * Asks the registry where a tag points and writes the answer into its ref, under the precondition of the state read
 * before the question: an answer that lost the race is discarded and asked for again. Concurrent callers join the one
 * that is asking; it looks once more before it lets go.
 * @param holder unique to this caller
 */
export async function observe(
  deps: FlowDeps,
  repository: Repository,
  tag: string,
  holder: string,
): Promise<Observation> {
  const id = refId(repository, tag);
  let isOwed = false;
  for (let round = 0; round < maxRounds; round++) {
    const stored = await deps.ledger.get("refs", id);
    const nowMs = await deps.ledger.clock();
    const ref = stored?.value ?? { repository, tag, generation: 0, earlier: [], dirty: false };
    const rev = stored?.rev ?? 0;
    if (ref.holder !== undefined && ref.holder.untilMs > nowMs && ref.holder.id !== holder) {
      const marked: RefDocument = { ...ref, dirty: true, dueMs: ref.holder.untilMs };
      if (ref.dirty || (await write(deps, "ref.dirty", id, rev, marked)) === "written") {
        return { kind: "joined", holder: ref.holder.id };
      }
      continue;
    }
    // Somebody has joined this look, or one that was not brought to its end.
    isOwed ||= ref.dueMs !== undefined;
    const untilMs = nowMs + holdMs;
    // The message that brought us here comes back if we die. What only a mark of others or a sweep knows does not.
    const claimed: RefDocument = {
      ...ref,
      dirty: false,
      holder: { id: holder, untilMs },
      ...(isOwed ? { dueMs: untilMs } : {}),
    };
    if ((await write(deps, "ref.claim", id, rev, claimed)) === "conflict") continue;

    const answer = await ask(deps, repository, tag);
    const atMs = await deps.ledger.clock();
    const due = isOwed ? { dueMs: atMs + owedMs } : {};
    const owed = (value: RefDocument): { readonly owed?: Owed } => {
      const { dueMs: _, ...rest } = value;
      return isOwed ? { owed: { collection: "refs", id, expect: rev + 2, value: rest } } : {};
    };
    if (answer.kind === "failed" || answer.head === undefined) {
      const { holder: _holder, dueMs: _dueMs, ...rest } = claimed;
      const released = { ...rest, ...due };
      if ((await release(deps, id, holder, released, rev + 1)) === "again") continue;
      const observation = answer.kind === "failed" ? answer.observation : { kind: "missing" as const };
      return { ...observation, ...owed(released) };
    }
    const { digest } = answer.head;
    const moved = ref.digest !== digest;
    const next: RefDocument = {
      repository,
      tag,
      digest,
      generation: moved ? ref.generation + 1 : ref.generation,
      observedMs: atMs,
      earlier:
        moved && ref.digest !== undefined ? [ref.digest, ...ref.earlier].slice(0, keptEarlier) : ref.earlier,
      dirty: false,
      ...due,
    };
    if ((await write(deps, "ref.result", id, rev + 1, next)) === "conflict") continue;
    return {
      kind: "observed",
      digest,
      generation: next.generation,
      moved: moved && ref.digest !== undefined,
      ...(ref.digest === undefined ? {} : { before: ref.digest }),
      movedBack: moved && ref.earlier.includes(digest),
      atMs,
      ...owed(next),
    };
  }
  return {
    kind: "unavailable",
    reason: "registry-unavailable",
    message: `${id} is being pushed faster than it can be read`,
  };
}

type Answer =
  | { readonly kind: "answered"; readonly head: ManifestHead | undefined }
  | { readonly kind: "failed"; readonly observation: Observation & { kind: "unavailable" } };

async function ask(deps: FlowDeps, repository: Repository, tag: string): Promise<Answer> {
  try {
    return {
      kind: "answered",
      head: await deps.recorder.step("registry.head", () => deps.registry.head(repository, tag)),
    };
  } catch (error) {
    const reason = registryReason(error);
    if (reason === undefined) throw error;
    const retryAfterMs = retryAfterOf(error);
    return {
      kind: "failed",
      observation: {
        kind: "unavailable",
        reason,
        message: messageOf(error),
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      },
    };
  }
}

/** The stable name of a registry's failure; `undefined` for what is no registry's failure. */
export function registryReason(
  error: unknown,
): (Observation & { kind: "unavailable" })["reason"] | undefined {
  if (error instanceof RegistryUnavailableError) return "registry-unavailable";
  if (error instanceof RegistryDeniedError) return "registry-denied";
  if (error instanceof RegistryResponseError) return "registry-response";
  return undefined;
}

/** Lets go of the ref without an answer. `again`: somebody marked it dirty meanwhile, and this caller still holds it. */
async function release(
  deps: FlowDeps,
  id: string,
  holder: string,
  released: RefDocument,
  rev: number,
): Promise<"released" | "again"> {
  if ((await write(deps, "ref.release", id, rev, released)) === "written") return "released";
  const now: Stored<"refs"> | undefined = await deps.ledger.get("refs", id);
  return now?.value.holder?.id === holder ? "again" : "released";
}

function write(
  deps: FlowDeps,
  point: "ref.dirty" | "ref.claim" | "ref.result" | "ref.release",
  id: string,
  expect: number,
  value: RefDocument,
): Promise<"written" | "conflict"> {
  return record(deps, point, [{ collection: "refs", id, expect, value }]);
}
