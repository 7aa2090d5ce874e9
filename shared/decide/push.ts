import type { SkipReason } from "../domain/reasons.ts";
import { type Digest, hostOf, type Repository } from "../domain/reference.ts";
import type { Wanted } from "../domain/rollout.ts";
import type { Container, Workload } from "../domain/workload.ts";

/** A tag as it was just observed: what every container that follows it is to run. */
export interface Observed {
  readonly repository: Repository;
  readonly tag: string;
  readonly digest: Digest;
  readonly generation: number;
}

/** What the ledger knows of a workload, as far as a decision needs it. */
export interface Known {
  readonly wanted: Wanted;
  readonly deployed?: Readonly<Record<string, Digest>>;
  /** Digests that containers name, but whose rollout failed, and not by the image. */
  readonly unproven?: Readonly<Record<string, Digest>>;
  readonly held: readonly { readonly digest: Digest; readonly reason: string }[];
  readonly open?: { readonly seq: number; readonly to: Wanted };
}

/** What the configuration says about the target and everything on it. */
export interface Rules {
  readonly policy: "tag" | "none";
  readonly mode: "act" | "observe";
}

export type PushDecision =
  /** `again`: it names the digests already, but the rollout that brought them there failed, and not by the image. */
  | { readonly kind: "roll-out"; readonly to: Wanted; readonly again?: true }
  /** An open rollout already brings the workload there. */
  | { readonly kind: "join"; readonly seq: number }
  | { readonly kind: "skip"; readonly reason: SkipReason; readonly detail?: string }
  /** The workload does not run this repository at all: not worth a line. */
  | { readonly kind: "unrelated" };

type Followed =
  | { readonly kind: "follows"; readonly container: Container }
  | { readonly kind: "skip"; readonly reason: SkipReason; readonly detail?: string }
  | { readonly kind: "unrelated" };

/** What an observed tag means for one workload. Facts in, decision out: no I/O, no clock. */
export function decidePush(seen: Observed, workload: Workload, known: Known, rules: Rules): PushDecision {
  const followed = workload.containers.map((container) => follow(seen, workload, container, rules));
  const followers = followed.flatMap((each) => (each.kind === "follows" ? [each.container] : []));
  if (followers.length === 0) {
    return followed.find((each) => each.kind === "skip") ?? { kind: "unrelated" };
  }
  const standing = standingReason(seen, workload, known);
  if (standing !== undefined) return standing;

  const all = follows(seen, workload);
  const to: Wanted = Object.fromEntries(
    Object.entries(all).filter(([name]) => followers.some((container) => container.name === name)),
  );
  const names = followers.map((container) => container.name);
  if (known.open !== undefined) {
    const open = known.open;
    if (names.every((name) => open.to[name]?.digest === seen.digest)) return { kind: "join", seq: open.seq };
    return observed(rules, { kind: "roll-out", to: { ...open.to, ...to } });
  }
  const behind = followers.filter((container) => container.reference?.digest !== seen.digest);
  if (behind.length === 0) {
    const unproven = names.some((name) => known.unproven?.[name] === seen.digest);
    return unproven
      ? observed(rules, { kind: "roll-out", to, again: true })
      : { kind: "skip", reason: "already-running" };
  }
  const changed = behind.find(
    (container) =>
      known.deployed?.[container.name] === seen.digest &&
      known.wanted[container.name]?.generation === seen.generation &&
      container.reference?.digest !== undefined,
  );
  if (changed !== undefined) {
    return { kind: "skip", reason: "changed-outside", detail: `it runs ${changed.image} since then` };
  }
  return observed(rules, { kind: "roll-out", to });
}

/** The containers that follow the tag by name alone, with what it wants of them. */
export function follows({ repository, tag, digest, generation }: Observed, workload: Workload): Wanted {
  const names = workload.containers.flatMap(({ name, reference }) =>
    reference?.repository === repository && reference.tag === tag ? [name] : [],
  );
  return Object.fromEntries(names.map((name) => [name, { repository, tag, digest, generation }]));
}

/** Whether a plan still fits the workload as it is now: the same names and tags, not paused, not opted out. */
export function stillFollows(to: Wanted, workload: Workload, rules: Rules): PushDecision | undefined {
  for (const [name, wanted] of Object.entries(to)) {
    const container = workload.containers.find((each) => each.name === name);
    if (container === undefined)
      return { kind: "skip", reason: "gone", detail: `it has no container ${name} any more` };
    const followed = follow(wanted, workload, container, rules);
    if (followed.kind === "unrelated") {
      return { kind: "skip", reason: "changed-outside", detail: `it runs ${container.image} since then` };
    }
    if (followed.kind === "skip") return followed;
  }
  return undefined;
}

function follow(seen: Observed, workload: Workload, container: Container, rules: Rules): Followed {
  const { reference } = container;
  if (reference === undefined || reference.repository !== seen.repository) return { kind: "unrelated" };
  if (reference.tag === undefined) return { kind: "skip", reason: "digest-pinned" };
  if (reference.tag !== seen.tag)
    return { kind: "skip", reason: "other-tag", detail: `it follows ${reference.tag}` };
  const own = workload.settings[`policy.${container.name}`] ?? workload.settings.policy;
  const policy = own ?? rules.policy;
  if (policy === "none") return { kind: "skip", reason: "policy-none" };
  if (policy !== "tag")
    return { kind: "skip", reason: "unsupported-policy", detail: `landfall.policy says ${policy}` };
  if (isOn(workload.settings.pause)) return { kind: "skip", reason: "paused" };
  if (workload.managedBy !== undefined && own === undefined) {
    return { kind: "skip", reason: "managed-elsewhere", detail: workload.managedBy };
  }
  if (reference.tag.endsWith("-dirty")) return { kind: "skip", reason: "dirty" };
  return { kind: "follows", container };
}

/** Reasons that stand against this digest whatever runs now. */
function standingReason(seen: Observed, workload: Workload, known: Known): PushDecision | undefined {
  const hold = known.held.find((each) => each.digest === seen.digest);
  if (hold !== undefined) return { kind: "skip", reason: "held", detail: hold.reason };
  const newer = workload.containers
    .map((container) => known.wanted[container.name])
    .find(
      (wanted) =>
        wanted !== undefined &&
        wanted.repository === seen.repository &&
        wanted.tag === seen.tag &&
        wanted.generation > seen.generation,
    );
  if (newer === undefined) return undefined;
  return {
    kind: "skip",
    reason: "superseded",
    detail: `${hostOf(newer.repository)} named a newer digest since`,
  };
}

function observed(rules: Rules, decision: PushDecision & { kind: "roll-out" }): PushDecision {
  return rules.mode === "observe" ? { kind: "skip", reason: "observe", detail: "would-roll-out" } : decision;
}

function isOn(setting: string | undefined): boolean {
  return setting !== undefined && !["", "false", "0", "no", "off"].includes(setting.toLowerCase());
}
