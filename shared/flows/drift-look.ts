import { highest } from "../decide/policies/index.ts";
import type { Observed } from "../decide/push.ts";
import type { Policy } from "../domain/policy.ts";
import { hostOf, printReference, type Repository } from "../domain/reference.ts";
import { messageOf, retryAfterOf } from "../errors.ts";
import type { ImageDocument } from "../ledger/image-document.ts";
import type { FlowDeps } from "./deps.ts";
import type { Question } from "./drift-questions.ts";
import { type Glanced, glanceAt } from "./glance.ts";
import { registryReason } from "./observe.ts";
import { printHold } from "./plan-checks.ts";

/** What containers that follow something are to run now. */
export type Wish = { readonly kind: "wanted"; readonly seen: Observed; readonly hold?: string } | UnknownWish;

export interface UnknownWish {
  readonly kind: "unknown";
  /** Stable name, e.g. `registry-denied`, `rate-limited`, `not-in-registry`. */
  readonly reason: string;
  readonly detail: string;
  /** How long the registry asks to be left alone, ms. */
  readonly retryAfterMs?: number;
}

/** What a full run knows of images, and what it has asked already. */
export interface Known {
  /** Those that the ledger has; the others have no order, and nobody holds anything of them. */
  readonly images: ReadonlyMap<Repository, Pick<ImageDocument, "head" | "channels" | "holds">>;
  readonly tags: Map<Repository, Promise<readonly string[]>>;
  readonly glances: Map<string, Promise<Glanced>>;
}

export async function newKnown({ ledger }: Pick<FlowDeps, "ledger">): Promise<Known> {
  const images = (await ledger.images()).map(({ value: { repository, head, channels, holds } }) => {
    const needed = {
      channels,
      ...(head === undefined ? {} : { head }),
      ...(holds === undefined ? {} : { holds }),
    };
    return [repository, needed] as const;
  });
  return { images: new Map(images), tags: new Map(), glances: new Map() };
}

/** Answers one question: one HEAD for a tag, a list of tags before it where a policy chooses, nothing where the ledger knows. */
export async function answerTo(deps: FlowDeps, question: Question, known: Known): Promise<Wish> {
  const { repository, about } = question;
  const image = known.images.get(repository);
  switch (about.kind) {
    case "tag":
      return byTag(deps, repository, about.tag, known);
    case "version":
      return byVersion(deps, repository, about.policy, known);
    case "channel":
      return byPromotion(repository, about.tag, image);
    case "head":
      return byCommit(repository, image);
    default:
      return about satisfies never;
  }
}

type Image = Pick<ImageDocument, "head" | "channels" | "holds"> | undefined;

async function byTag(deps: FlowDeps, repository: Repository, tag: string, known: Known): Promise<Wish> {
  const glanced = await once(known.glances, printReference({ repository, tag }), () =>
    glanceAt(deps, repository, tag),
  );
  switch (glanced.kind) {
    case "seen":
      return wanted(
        { repository, tag, digest: glanced.digest, generation: glanced.generation, line: "tag" },
        known.images.get(repository),
      );
    case "missing": {
      const detail = `${printReference({ repository, tag })} is not in the registry, or nobody may see it`;
      return { kind: "unknown", reason: "not-in-registry", detail };
    }
    case "unavailable": {
      const { reason, detail, retryAfterMs } = glanced;
      return { kind: "unknown", reason, detail, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
    }
    default:
      return glanced satisfies never;
  }
}

async function byVersion(
  deps: FlowDeps,
  repository: Repository,
  policy: Policy,
  known: Known,
): Promise<Wish> {
  try {
    const tags = await once(known.tags, repository, () =>
      deps.recorder.step("registry.tags", () => deps.registry.tags(repository)),
    );
    const tag = highest(policy, tags);
    if (tag !== undefined) return byTag(deps, repository, tag, known);
    const detail = `no tag of ${repository} takes part in the policy`;
    return { kind: "unknown", reason: "not-in-registry", detail };
  } catch (error) {
    const reason = registryReason(error);
    if (reason === undefined) throw error;
    const retryAfterMs = retryAfterOf(error);
    const after = retryAfterMs === undefined ? {} : { retryAfterMs };
    return { kind: "unknown", reason, detail: messageOf(error), ...after };
  }
}

function byPromotion(repository: Repository, tag: string, image: Image): Wish {
  const { promoted, promotedMs = 0, generation } = image?.channels[tag] ?? {};
  if (promoted === undefined || generation === undefined) {
    return { kind: "unknown", reason: "not-promoted", detail: `nothing was promoted to ${tag} yet` };
  }
  const { digest, commit, heardMs = promotedMs } = promoted;
  const of = commit === undefined ? {} : { commit };
  return wanted({ repository, tag, digest, generation, line: "channel", heardMs, ...of }, image);
}

function byCommit(repository: Repository, image: Image): Wish {
  const head = image?.head;
  if (head === undefined) {
    const detail = `no build of ${repository} was accepted yet`;
    return { kind: "unknown", reason: "not-built", detail };
  }
  const { tag, digest, generation, commit, acceptedMs, heardMs = acceptedMs } = head;
  return wanted({ repository, tag, digest, generation, commit, line: "head", heardMs }, image);
}

function wanted(seen: Observed, image: Image): Wish {
  const hold = image?.holds?.find(({ digest }) => digest === seen.digest);
  if (hold === undefined) return { kind: "wanted", seen };
  return { kind: "wanted", seen, hold: printHold(hold) };
}

function once<K, V>(asked: Map<K, Promise<V>>, key: K, ask: () => Promise<V>): Promise<V> {
  const asking = asked.get(key) ?? ask();
  asked.set(key, asking);
  return asking;
}

/** The registry that a question is put to; `undefined`: none. */
export function askedOf({ repository, about }: Question): string | undefined {
  return about.kind === "tag" || about.kind === "version" ? hostOf(repository) : undefined;
}
