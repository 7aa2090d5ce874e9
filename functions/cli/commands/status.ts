import { matchAddress, unmatched } from "../address.ts";
import type { Answer, Command } from "../command.ts";
import { readWorkloads, type WorkloadView } from "../history.ts";
import { renderStatus } from "../render/status.ts";

export const status: Command = {
  name: "status",
  summary: "what Landfall has deployed, and what is under way",
  parameters: "[WORKLOAD]",
  maxArguments: 1,
  options: {},
  help: `One line a container: the state of the newest rollout, the image and the digest that Landfall put there, since when,
and why it waits or failed. An arrow shows a rollout under way. Workloads that no push has concerned yet are not
on record.

WORKLOAD is an address such as swarm-prod/web, or any tail of it that is unique, such as web.`,
  examples: [
    ["status", "everything"],
    ["status web", "one workload"],
    ["status --json", "digests whole, times in ms since the epoch"],
  ],
  async run(call, { openLedger, clock }) {
    const ledger = await openLedger();
    try {
      const all = await readWorkloads(ledger);
      const [asked] = call.arguments;
      const chosen = asked === undefined ? all : choose(asked, all);
      if ("kind" in chosen) return chosen;
      if (chosen.length === 0) {
        return {
          kind: "nothing",
          text: "No workload is on record: no push has been planned yet.",
          json: { workloads: [] },
        };
      }
      return { kind: "done", text: renderStatus(chosen, clock.now()), json: { workloads: chosen } };
    } finally {
      await ledger.close();
    }
  },
};

function choose(asked: string, all: readonly WorkloadView[]): readonly WorkloadView[] | Answer {
  const match = matchAddress(
    asked,
    all.map(({ workload }) => workload),
  );
  return match.kind === "one" ? all.filter(({ workload }) => workload === match.id) : unmatched(asked, match);
}
