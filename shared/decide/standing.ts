import { hostOf } from "../domain/reference.ts";
import type { WantedContainer } from "../domain/rollout.ts";
import { compareTags, matches } from "./policies/index.ts";
import type { Following, Known, Observed, PushDecision } from "./push.ts";

/** Reasons that stand against this digest whatever runs now. */
export function standingReason(
  seen: Observed,
  following: readonly Following[],
  known: Known,
): (PushDecision & { kind: "skip" }) | undefined {
  const hold = known.held.find((each) => each.digest === seen.digest);
  if (hold !== undefined) return { kind: "skip", reason: "held", detail: hold.reason };
  const { pin } = known;
  if (pin !== undefined && !lifts(seen, following, pin)) {
    const why = pin.reason === undefined ? "" : `: ${pin.reason}`;
    return { kind: "skip", reason: "pinned-by-person", detail: `by ${pin.by}${why}` };
  }
  for (const each of following) {
    const wanted = wantedSince(seen, each, known);
    if (wanted !== undefined) return { kind: "skip", reason: "superseded", detail: newerBy(seen, wanted) };
  }
  return undefined;
}

/** Whether an observation is newer than all that was known when a person pinned the workload, and was heard after that. */
function lifts(seen: Observed, following: readonly Following[], pin: NonNullable<Known["pin"]>): boolean {
  if (pin.until === "release" || seen.heardMs === undefined || seen.heardMs <= pin.sinceMs) return false;
  return following.every((each) => isAhead(seen, each, pin.over[each.container.name]));
}

function isAhead(seen: Observed, { line, policy }: Following, over: WantedContainer | undefined): boolean {
  if (over === undefined || (over.line ?? "tag") !== line) return true;
  if (line === "head" || over.tag === seen.tag) return seen.generation > over.generation;
  return line === "version" && policy !== undefined && (compareTags(policy, seen.tag, over.tag) ?? 0) > 0;
}

/** What a container is to run, if that comes from a later observation than this one, as far as the two can be compared. */
function wantedSince(
  seen: Observed,
  { container, line, policy }: Following,
  known: Known,
): WantedContainer | undefined {
  const wanted = known.wanted[container.name];
  if (wanted === undefined || wanted.repository !== seen.repository || (wanted.line ?? "tag") !== line)
    return undefined;
  if (line === "head" || wanted.tag === seen.tag) {
    return wanted.generation > seen.generation ? wanted : undefined;
  }
  if (line !== "version" || policy === undefined || !matches(policy, wanted.tag)) return undefined;
  // Whoever set an older tag by hand means that one to be the measure.
  const wasLeft =
    known.open === undefined &&
    known.deployed?.[container.name] === wanted.digest &&
    container.reference?.digest !== wanted.digest;
  return !wasLeft && (compareTags(policy, wanted.tag, seen.tag) ?? 0) > 0 ? wanted : undefined;
}

function newerBy(seen: Observed, { tag, line = "tag" }: WantedContainer): string {
  switch (line) {
    case "tag":
    case "channel":
      return `${hostOf(seen.repository)} named a newer digest since`;
    case "head":
      return "a newer commit was accepted since";
    case "version":
      return tag === seen.tag
        ? `${hostOf(seen.repository)} named a newer digest since`
        : `it is to run ${tag}, which is higher`;
    default:
      return line satisfies never;
  }
}
