import { ambiguous } from "../address.ts";
import { type Command, countOf } from "../command.ts";
import { explain as explainAsked } from "../explanation.ts";
import { renderExplanation } from "../render/explanation.ts";

const defaultLimit = 5;

export const explain: Command = {
  name: "explain",
  summary: "why something was rolled out, or why not",
  parameters: "IMAGE[:TAG]|WORKLOAD|EVENT",
  maxArguments: 1,
  options: {
    limit: {
      type: "string",
      value: "N",
      about: `Events and rollouts to show, newest first; ${defaultLimit} when not given.`,
    },
  },
  help: `Asked about an image: what was heard of it, what the registry said, the verdict for each workload with its reason
and what to do about it, the rollouts that followed, and near misses: other tags of the same repository that were
heard, workloads that were skipped. Asked about a workload: its rollouts and the pushes that concerned it. Asked about
an event, by the id that a webhook was answered with: the same for that one push.

An image needs no host when it is on Docker Hub or when only one repository of that name is known. Without a tag all
tags are shown.`,
  examples: [
    ["explain acme/web:v1", "I pushed this. Where is it?"],
    ["explain swarm-prod/web", "why does this run what it runs?"],
    ["explain web --limit 1 --json", "the newest only, as data"],
  ],
  async run(call, { openLedger, clock }) {
    const [asked] = call.arguments;
    if (asked === undefined) {
      return {
        kind: "usage",
        text: "Say what to explain: an image such as acme/web:v1, a workload or an event's id.",
      };
    }
    const limit = countOf(call, "limit", defaultLimit);
    if (typeof limit !== "number") return limit;
    const ledger = await openLedger();
    try {
      const answer = await explainAsked(ledger, asked, clock.now(), limit);
      switch (answer.kind) {
        case "invalid":
          return {
            kind: "usage",
            text: `\`${asked}\` is no known workload or event, and no image: ${answer.reason}.`,
          };
        case "ambiguous":
          return ambiguous(asked, answer.candidates);
        case "explained": {
          const { explained } = answer;
          const heard =
            explained.kind !== "image" || explained.events.length > 0 || explained.workloads.length > 0;
          return {
            kind: heard ? "done" : "nothing",
            text: renderExplanation(explained, clock.now()),
            json: explained,
          };
        }
        default:
          return answer satisfies never;
      }
    } finally {
      await ledger.close();
    }
  },
};
