import type { Command } from "../command.ts";
import { readLastReport } from "../drift-report.ts";
import { renderReport } from "../render/drift.ts";
import { oneLine } from "../render/table.ts";
import { instant } from "../render/time.ts";

export const drift: Command = {
  name: "drift",
  summary: "what the last full run found: what runs beside what is wanted",
  parameters: "",
  maxArguments: 0,
  options: { all: { type: "boolean", about: "Show what is in-sync too, and every line." } },
  help: `A full run compares what every workload runs with what was deployed there and what is wanted now, repairs what lost
events left behind, and leaves what somebody else did as it is. This shows its report, what needs somebody first; what is
in-sync is only counted. Nothing is compared anew: \`landfall reconcile --dry-run\` does that.`,
  examples: [
    ["drift", "the last report"],
    ["drift --all", "with all that is as it should be"],
    ["drift --json", "digests whole, times in ms since the epoch"],
  ],
  async run(call, { openLedger, clock }) {
    const ledger = await openLedger();
    try {
      const nowMs = clock.now();
      const { underWay, last } = await readLastReport(ledger, nowMs);
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
      const { id, report, rows } = last;
      const { chunks: _, expireMs: __, ...facts } = report;
      const text = [...busy, renderReport(last, nowMs, call.options.all === true)].join("\n\n");
      const isCalm = rows.every(({ verdict }) => verdict === "in-sync") && report.troubles.length === 0;
      return { kind: isCalm ? "nothing" : "done", text, json: { ...running, report: id, ...facts, rows } };
    } finally {
      await ledger.close();
    }
  },
};
