import type { WorkloadId } from "../../../shared/domain/workload.ts";
import type { Ledger } from "../../../shared/ledger/ledger.ts";
import { matchAddress, unmatched } from "../address.ts";
import { type Command, countOf } from "../command.ts";
import { concerns, type EventView, type RolloutView, readEvents, readRollouts } from "../history.ts";
import { renderTimeline } from "../render/timeline.ts";

const defaultLimit = 20;

export const ledger: Command = {
  name: "ledger",
  summary: "what was heard and what was rolled out, newest first",
  parameters: "",
  maxArguments: 0,
  options: {
    limit: { type: "string", value: "N", about: `Lines to show; ${defaultLimit} when not given.` },
    workload: {
      type: "string",
      value: "W",
      about: "Only this workload, and what concerned it; any unique tail of its address.",
    },
  },
  help: `Pushes, builds, orders and rollouts in one list, by time. The last column is the event's id: \`landfall explain ID\`
tells all about it.`,
  examples: [
    ["ledger", "the last things that happened"],
    ["ledger --workload web --limit 100", "the history of one workload"],
    ["ledger --json", "as data: events and rollouts with all their fields"],
  ],
  async run(call, { openLedger, clock }) {
    const limit = countOf(call, "limit", defaultLimit);
    if (typeof limit !== "number") return limit;
    const opened = await openLedger();
    try {
      const workloads = (await opened.workloads()).map(({ value }) => value);
      const asked = call.options.workload;
      const ids = workloads.map((each) => each.workload);
      const match = typeof asked === "string" ? matchAddress(asked, ids) : undefined;
      if (match !== undefined && match.kind !== "one") return unmatched(String(asked), match);
      const workload = ids.find((id) => id === match?.id);
      const rollouts = await readRollouts(
        opened,
        workloads,
        workload === undefined ? {} : { workload },
        limit,
      );
      const events = await eventsOf(opened, workload, clock.now(), limit);
      const json = cut(events, rollouts, limit);
      if (json.events.length + json.rollouts.length === 0) {
        return { kind: "nothing", text: "The ledger is empty: nothing was heard yet.", json };
      }
      return { kind: "done", text: renderTimeline(json.events, json.rollouts, clock.now()), json };
    } finally {
      await opened.close();
    }
  },
};

async function eventsOf(
  opened: Ledger,
  workload: WorkloadId | undefined,
  nowMs: number,
  limit: number,
): Promise<readonly EventView[]> {
  if (workload === undefined) return readEvents(opened, {}, nowMs, limit);
  const events = await readEvents(opened, {}, nowMs);
  return events.filter((event) => concerns(event, workload));
}

/** The newest of both kinds together. */
function cut(events: readonly EventView[], rollouts: readonly RolloutView[], limit: number) {
  const times = [
    ...events.map(({ heardMs }) => heardMs),
    ...rollouts.map(({ times: { planned } }) => planned),
  ];
  const oldestMs = times.toSorted((left, right) => right - left)[limit - 1] ?? Number.NEGATIVE_INFINITY;
  return {
    events: events.filter(({ heardMs }) => heardMs >= oldestMs),
    rollouts: rollouts.filter(({ times: { planned } }) => planned >= oldestMs),
  };
}
