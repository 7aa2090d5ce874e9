import { matchAddress, unmatched } from "../address.ts";
import type { Answer, Command } from "../command.ts";
import { readImages, readWorkloads, type WorkloadView } from "../history.ts";
import { renderImages } from "../render/images.ts";
import { renderStatus } from "../render/status.ts";

export const status: Command = {
  name: "status",
  summary: "what Landfall has deployed, and what is under way",
  parameters: "[WORKLOAD]",
  maxArguments: 1,
  options: {},
  help: `First the images whose builds have an order, if there are any: a line for the head, the newest commit that was
accepted, and one for each channel: what it has, since when, and what it waits for or who moved it.

Then one line a container: the state of the newest rollout, the image and the digest that Landfall put there, since when,
and why it waits or failed. An arrow shows a rollout under way. Below stands, for each workload that does not simply follow
its image, who pinned, paused or held it, what was rolled back and why, and the command that ends it. Workloads that no
push and no full run has met yet are not on record.

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
      if (asked !== undefined) {
        const chosen = choose(asked, all);
        if ("kind" in chosen) return chosen;
        const text = renderStatus(chosen, clock.now(), await readImages(ledger));
        return { kind: "done", text, json: { workloads: chosen } };
      }
      const images = await readImages(ledger);
      const json = { images, workloads: all };
      if (images.length + all.length === 0) {
        const text = "No workload is on record: no push has been planned yet.";
        return { kind: "nothing", text, json };
      }
      const parts = [
        ...(images.length === 0 ? [] : [renderImages(images, clock.now())]),
        ...(all.length === 0 ? [] : [renderStatus(all, clock.now(), images)]),
      ];
      return { kind: "done", text: parts.join("\n\n"), json };
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
