import { ambiguous } from "../address.ts";
import { type Command, countOf } from "../command.ts";
import { readReport, reportJson } from "../drift-report.ts";
import { explain as explainAsked, isKnown } from "../explanation.ts";
import { renderReport } from "../render/drift.ts";
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
  help: `Asked about an image: what was heard of it (pushes, builds, orders), what the registry said, what git said of its
commit, the verdict for each workload with its reason and what to do about it, the rollouts that followed, its head and
channels, and near misses: other tags of the same repository that were heard, workloads that were skipped. Asked about a
workload: its rollouts and what concerned it. Asked about an event, by the id that a webhook, publish or promote answered
with: the same for that one. Asked about a full run's report, by the id that its rollouts name: as \`landfall drift\`.

An image needs no host when it is on Docker Hub or when only one repository of that name is known. Without a tag all
tags are shown; a full commit id in the tag's place finds its builds, whatever their tags.`,
  examples: [
    ["explain acme/web:v1", "I pushed this. Where is it?"],
    [
      "explain gcr.io/acme/api:840ee5a432444a504020e1ec3b25e2e3f4763e7b",
      "what became of this commit's build?",
    ],
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
      const report = await readReport(ledger, asked);
      if (report !== undefined) {
        return { kind: "done", text: renderReport(report, clock.now(), false), json: reportJson(report) };
      }
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
          return {
            kind: isKnown(explained) ? "done" : "nothing",
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
