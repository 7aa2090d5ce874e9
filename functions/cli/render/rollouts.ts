import { isOpen, type RolloutView } from "../history.ts";
import { table } from "./table.ts";
import { ago, instant, took } from "./time.ts";
import { shortCommit, shortImage, wantedText } from "./words.ts";

/** One line a rollout, in the order given. */
export function renderRollouts(rollouts: readonly RolloutView[], nowMs: number): string {
  return table(
    ["WORKLOAD", "NO", "STATE", "TO", "PLANNED", "TOOK", "WHY"],
    rollouts.map((rollout) => [
      rollout.workload,
      String(rollout.seq),
      rollout.state,
      wantedText(rollout.to),
      ago(rollout.times.planned, nowMs),
      durationOf(rollout, nowMs),
      noteOf(rollout, nowMs),
    ]),
  );
}

/** One rollout with everything known of it. */
export function renderRollout(rollout: RolloutView, nowMs: number): string {
  const from = Object.values(rollout.from).map(shortImage).join(" ");
  const note = noteOf(rollout, nowMs);
  return [
    `rollout ${rollout.seq}: ${rollout.state}${note === "" ? "" : `, ${note}`}`,
    `  from   ${from === "" ? "-" : from}`,
    `  to     ${wantedText(rollout.to)}${builtText(rollout)}`,
    `  cause  ${rollout.cause.kind}${rollout.cause.by === undefined ? "" : ` by ${rollout.cause.by}`}, event ${rollout.cause.event}`,
    `  times  ${steps(rollout)}`,
  ].join("\n");
}

/** The commits that it leads to, unless its tags name them already. */
function builtText({ to, commits = {} }: RolloutView): string {
  const unnamed = Object.entries(commits).filter(([container, commit]) => to[container]?.tag !== commit);
  const names = [...new Set(unnamed.map(([, commit]) => shortCommit(commit)))];
  return names.length === 0 ? "" : `, built from ${names.join(", ")}`;
}

/** Why it is where it is: the reason it ended with, or what it waits for and until when. */
export function noteOf(rollout: RolloutView, nowMs: number): string {
  const next = isOpen(rollout.state) && rollout.dueMs !== undefined ? [dueText(rollout.dueMs, nowMs)] : [];
  const blame = rollout.blame === undefined ? [] : [`blamed on the ${rollout.blame}`];
  return [rollout.note ?? rollout.reason, ...blame, ...next].filter((part) => part !== undefined).join("; ");
}

function dueText(dueMs: number, nowMs: number): string {
  return dueMs > nowMs ? `looked at again ${ago(dueMs, nowMs)}` : `due ${ago(dueMs, nowMs)}`;
}

function durationOf({ state, times }: RolloutView, nowMs: number): string {
  const from = times.heard ?? times.planned;
  if (times.finished !== undefined) return took(times.finished - from);
  return isOpen(state) ? `${took(nowMs - from)} so far` : "-";
}

/** The steps with the time since the first of them. */
function steps({ times }: RolloutView): string {
  const named = [
    ["heard", times.heard],
    ["registry answered", times.observed],
    ["planned", times.planned],
    ["sent", times.applying],
    ["accepted", times.accepted],
    ["finished", times.finished],
  ] as const;
  const known = named.filter(
    (step): step is (typeof named)[number] & readonly [string, number] => step[1] !== undefined,
  );
  const startMs = known[0]?.[1] ?? times.planned;
  return known
    .map(([name, atMs], index) =>
      index === 0 ? `${name} ${instant(atMs)}` : `${name} +${took(atMs - startMs)}`,
    )
    .join(", ");
}
