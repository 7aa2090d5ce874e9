import type { Command } from "../command.ts";
import { readLastReport, readReport, reportJson } from "../drift-report.ts";
import { renderPlan, renderReport } from "../render/drift.ts";
import { oneLine } from "../render/table.ts";
import { instant } from "../render/time.ts";

export const drift: Command = {
  name: "drift",
  summary: "what the last full run found: what runs beside what is wanted",
  parameters: "[REPORT]",
  maxArguments: 1,
  options: { all: { type: "boolean", about: "Show what is in-sync too, and every line." } },
  help: `A full run compares what every workload runs with what was deployed there and what is wanted now, repairs what lost
events left behind, and leaves what somebody else did as it is. This shows its report, what needs somebody first; what is
in-sync is only counted. Nothing is compared anew: \`landfall reconcile --dry-run\` does that.`,
  examples: [
    ["drift", "the last report"],
    ["drift drift-0c94c1a2-5be1-4f3d-9a1c-3f0b8c1d2e4f", "an earlier one, by the id that its rollouts name"],
    ["drift --all", "with all that is as it should be"],
    ["drift --json", "digests whole, times in ms since the epoch"],
  ],
  async run(call, { openLedger, clock }) {
    const ledger = await openLedger();
    try {
      const nowMs = clock.now();
      const all = call.options.all === true;
      const [asked] = call.arguments;
      if (asked !== undefined) {
        const view = await readReport(ledger, asked);
        return view === undefined
          ? { kind: "failed", text: `There is no report ${asked}: reports are kept for 90 days.` }
          : { kind: "done", text: renderReport(view, nowMs, all), json: reportJson(view) };
      }
      const { underWay, last, waiting } = await readLastReport(ledger, nowMs);
      const busy =
        underWay === undefined
          ? []
          : [
              `A full run is under way, asked for by ${oneLine(underWay.by ?? "somebody")}, until ${instant(underWay.untilMs)} at the latest.`,
            ];
      const running = underWay === undefined ? {} : { underWay };
      if (last === undefined) {
        const text = "Nothing was compared yet: `landfall reconcile --dry-run` compares and changes nothing.";
        return { kind: "nothing", text: [...busy, text].join("\n"), json: { ...running } };
      }
      const { report, rows } = last;
      const text = [...busy, renderReport(last, nowMs, all), ...waiting.map(renderPlan)].join("\n\n");
      const isCalm =
        rows.every(({ verdict }) => verdict === "in-sync") && report.troubles.length + waiting.length === 0;
      return { kind: isCalm ? "nothing" : "done", text, json: { ...running, ...reportJson(last), waiting } };
    } finally {
      await ledger.close();
    }
  },
};
