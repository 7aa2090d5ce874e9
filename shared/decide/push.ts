import type { Commit } from "../domain/commit.ts";
import { type Policy, parsePolicy } from "../domain/policy.ts";
import type { SkipReason } from "../domain/reasons.ts";
import type { Digest, Repository } from "../domain/reference.ts";
import type { Line, Wanted, WantedContainer } from "../domain/rollout.ts";
import type { Container, Workload } from "../domain/workload.ts";
import type { Pin } from "../ledger/ledger.ts";
import { choosesByTag, decideTag } from "./policies/index.ts";
import type { ImageRule } from "./rules.ts";
import { standingReason } from "./standing.ts";

/** What was just observed of an image: what every container that follows it is to run. */
export interface Observed {
  readonly repository: Repository;
  readonly tag: string;
  readonly digest: Digest;
  readonly generation: number;
  /**
   * What was observed: where a tag points, a channel's promotion, the newest commit. Containers that follow the highest
   * tag are decided with a tag.
   */
  readonly line: Exclude<Line, "version">;
  /** The commit that the digest was built from, as far as it is known. */
  readonly commit?: Commit;
  /** When it was heard of, ms: only what was heard after a person's decision lifts it. */
  readonly heardMs?: number;
}

/** What the ledger knows of a workload, as far as a decision needs it. */
export interface Known {
  readonly wanted: Wanted;
  readonly deployed?: Readonly<Record<string, Digest>>;
  /** Digests that containers name, but whose rollout failed, and not by the image. */
  readonly unproven?: Readonly<Record<string, Digest>>;
  readonly held: readonly { readonly digest: Digest; readonly reason: string }[];
  readonly pin?: Pick<Pin, "until" | "by" | "sinceMs" | "over" | "reason">;
  /** Why a person wants it to be left alone. */
  readonly paused?: string;
  /** `undoes`: it is a rollback of what had been written before. */
  readonly open?: { readonly seq: number; readonly to: Wanted; readonly undoes?: Wanted };
}

/** What the configuration says about the target and about the image. */
export interface Rules {
  readonly mode: "act" | "observe";
  readonly rule: ImageRule;
}

export type PushDecision =
  /** `again`: it names the digests already, but the rollout that brought them there failed, and not by the image. */
  | { readonly kind: "roll-out"; readonly to: Wanted; readonly again?: true }
  /** An open rollout already brings the workload there. */
  | { readonly kind: "join"; readonly seq: number }
  | { readonly kind: "skip"; readonly reason: SkipReason; readonly detail?: string }
  /** The workload does not run this repository at all: not worth a line. */
  | { readonly kind: "unrelated" };

/** A container that follows what was observed. */
export interface Following {
  readonly kind: "follows";
  readonly container: Container;
  /** What it goes by. */
  readonly line: Line;
  readonly policy?: Policy;
}

type Followed =
  | Following
  | { readonly kind: "skip"; readonly reason: SkipReason; readonly detail?: string }
  | { readonly kind: "unrelated" };

/** What an observed tag means for one workload. Facts in, decision out: no I/O, no clock. */
export function decidePush(seen: Observed, workload: Workload, known: Known, rules: Rules): PushDecision {
  const followed = workload.containers.map((container) => follow(seen, workload, container, rules));
  const following = followed.filter((each) => each.kind === "follows");
  const followers = following.map(({ container }) => container);
  if (followers.length === 0) {
    return followed.find((each) => each.kind === "skip") ?? { kind: "unrelated" };
  }
  if (known.paused !== undefined) return { kind: "skip", reason: "paused", detail: known.paused };
  const standing = standingReason(seen, following, known);
  if (standing !== undefined) return standing;

  const to = wantedBy(seen, following);
  const names = followers.map((container) => container.name);
  if (known.open !== undefined) {
    const open = known.open;
    if (names.every((name) => open.to[name]?.digest === seen.digest)) return { kind: "join", seq: open.seq };
    // Only something newer comes before a rollback is over.
    const isUndone = ({ digest, generation }: WantedContainer) =>
      digest === seen.digest && generation >= seen.generation;
    const { undoes } = open;
    if (undoes !== undefined && names.some((name) => undoes[name] !== undefined && isUndone(undoes[name]))) {
      return { kind: "join", seq: open.seq };
    }
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

/** The containers that follow what was observed, with what it wants of them. */
export function follows(seen: Observed, workload: Workload, rules: Rules): Wanted {
  const followed = workload.containers.map((container) => follow(seen, workload, container, rules));
  return wantedBy(
    seen,
    followed.filter((each) => each.kind === "follows"),
  );
}

function wantedBy(
  { repository, tag, digest, generation }: Observed,
  following: readonly Following[],
): Wanted {
  return Object.fromEntries(
    following.map(({ container, line }) => {
      const wanted: WantedContainer = { repository, tag, digest, generation };
      return [container.name, line === "tag" ? wanted : { ...wanted, line }];
    }),
  );
}

/** What had been observed when a container was planned. */
function observedIn({ repository, tag, digest, generation, line = "tag" }: WantedContainer): Observed {
  return { repository, tag, digest, generation, line: line === "version" ? "tag" : line };
}

/** Whether a plan still fits the workload as it is now: the same names and tags, not paused, not opted out. */
export function stillFollows(
  to: Wanted,
  workload: Workload,
  rules: (repository: Repository) => Rules,
): PushDecision | undefined {
  for (const [name, wanted] of Object.entries(to)) {
    const container = workload.containers.find((each) => each.name === name);
    if (container === undefined)
      return { kind: "skip", reason: "gone", detail: `it has no container ${name} any more` };
    const followed = follow(observedIn(wanted), workload, container, rules(wanted.repository));
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
  const running = reference.tag;
  if (running === undefined) return { kind: "skip", reason: "digest-pinned" };
  const label = [`policy.${container.name}`, "policy"].find((each) => Object.hasOwn(workload.settings, each));
  const own = label === undefined ? undefined : parsePolicy(workload.settings[label] ?? "");
  if (own?.kind === "invalid") {
    return { kind: "skip", reason: "unsupported-policy", detail: `landfall.${label} ${own.reason}` };
  }
  const policy = own?.policy ?? rules.rule.policy;
  if (policy.kind === "none") return { kind: "skip", reason: "policy-none" };
  const going = goesBy(seen, running, policy, rules.rule);
  if (going.kind === "skip") return going;
  if (isOn(workload.settings.pause)) return { kind: "skip", reason: "paused" };
  if (workload.managedBy !== undefined && own === undefined) {
    return { kind: "skip", reason: "managed-elsewhere", detail: workload.managedBy };
  }
  if (workload.notRolling !== undefined) {
    return { kind: "skip", reason: "not-rolling", detail: workload.notRolling };
  }
  if (running.endsWith("-dirty")) return { kind: "skip", reason: "dirty" };
  return { kind: "follows", container, line: going.line, policy };
}

type Going =
  | { readonly kind: "goes"; readonly line: Line }
  | { readonly kind: "skip"; readonly reason: SkipReason; readonly detail?: string };

/** Whether what was observed is what a container goes by, judged by the tag that it runs. A channel's tag says it by itself. */
function goesBy(
  seen: Observed,
  running: string,
  policy: Exclude<Policy, { kind: "none" }>,
  { channels, git }: ImageRule,
): Going {
  const isOnChannel = channels.some(({ tag }) => tag === running);
  const other = (what: string): Going => ({
    kind: "skip",
    reason: "other-tag",
    detail: `it follows ${what}`,
  });
  if (isOnChannel || seen.line === "channel") {
    return seen.line === "channel" && running === seen.tag
      ? { kind: "goes", line: "channel" }
      : other(running);
  }
  switch (policy.kind) {
    case "commit":
      if (git === undefined)
        return other("the newest commit, and its image has no `git` in the configuration");
      return seen.line === "head" ? { kind: "goes", line: "head" } : other("the newest commit");
    case "tag":
    case "semver":
    case "pattern": {
      const line = choosesByTag(policy) ? "version" : "tag";
      if (seen.line !== "tag") return other(line === "tag" ? running : "the highest tag");
      const decision = decideTag(policy, { running, candidate: seen.tag });
      return decision.kind === "skip" ? decision : { kind: "goes", line };
    }
    case "channel":
      // Nobody can ask for it: who runs a channel's tag is on the channel.
      return other(running);
    default:
      return policy satisfies never;
  }
}

function observed(rules: Rules, decision: PushDecision & { kind: "roll-out" }): PushDecision {
  return rules.mode === "observe" ? { kind: "skip", reason: "observe", detail: "would-roll-out" } : decision;
}

function isOn(setting: string | undefined): boolean {
  return setting !== undefined && !["", "false", "0", "no", "off"].includes(setting.toLowerCase());
}
