import type { EventView, RolloutView } from "../history.ts";
import { noteOf } from "./rollouts.ts";
import { table } from "./table.ts";
import { ago, instant } from "./time.ts";
import { subjectOf, wantedText } from "./words.ts";

/** Events and rollouts in one list, newest first; what an event led to stands above it. */
export function renderTimeline(
  events: readonly EventView[],
  rollouts: readonly RolloutView[],
  nowMs: number,
): string {
  const rows = [
    ...rollouts.map((rollout) => ({ atMs: rollout.times.planned, cells: rolloutCells(rollout, nowMs) })),
    ...events.map((event) => ({ atMs: event.heardMs, cells: eventCells(event) })),
  ].toSorted((left, right) => right.atMs - left.atMs);
  return table(
    ["TIME", "", "WHAT", "STATE", "SUBJECT", "RESULT", "EVENT"],
    rows.map(({ atMs, cells }) => [instant(atMs), ago(atMs, nowMs), ...cells]),
  );
}

function rolloutCells(rollout: RolloutView, nowMs: number): readonly string[] {
  const { workload, seq, state, to, cause } = rollout;
  const note = noteOf(rollout, nowMs);
  return [
    `rollout ${seq}`,
    state,
    workload,
    note === "" ? wantedText(to) : `${wantedText(to)}: ${note}`,
    cause.event,
  ];
}

function eventCells(event: EventView): readonly string[] {
  const { id, state, outcome, verdicts, more } = event;
  const planned = verdicts.filter(({ kind }) => kind === "planned").length;
  const counts = verdicts.length + more === 0 ? "" : `: ${planned} of ${verdicts.length + more} planned`;
  const { order, by } = event;
  const who = order === undefined ? "" : ` by ${by}${order.reason === undefined ? "" : `: ${order.reason}`}`;
  return [kindOf(event), state, subjectOf(event), `${outcome ?? "-"}${who}${counts}`, id];
}

function kindOf({ push, build, promote, reconcile, order }: EventView): string {
  if (order !== undefined) return order.do;
  if (reconcile !== undefined) return "full run";
  if (push !== undefined) return push.source === "sweep" ? "sweep" : "push";
  if (build !== undefined) return "build";
  return promote === undefined ? "message" : promote.how === "move" ? "promote" : promote.how;
}
