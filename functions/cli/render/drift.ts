import { explainDrift } from "../../../shared/domain/drift-verdicts.ts";
import { explainSkip, isSkipReason } from "../../../shared/domain/reasons.ts";
import { parseReference, printReference } from "../../../shared/domain/reference.ts";
import type { RolloutState } from "../../../shared/domain/rollout.ts";
import type { GuardedPlan } from "../../../shared/ledger/report-document.ts";
import { approval, type DriftView, type ReportView } from "../drift-report.ts";
import { columns, oneLine, table } from "./table.ts";
import { ago, instant, took } from "./time.ts";
import { shortDigest, shortImage } from "./words.ts";

/** What somebody has to look at first; all that is not named here comes after it. */
const order = [
  "fighting",
  "guarded",
  "changed-outside",
  "missing",
  "unknown",
  "differs",
  "stale",
  "degraded",
  "missed",
  "would-roll-out",
  "new",
];
/** What is only counted, unless all is to be shown. */
const quiet = "in-sync";
const maxRows = 200;
const failed: ReadonlySet<RolloutState> = new Set(["failed", "rolled-back", "rollback-unavailable"]);

/** What a full run found: one line a container, what needs somebody first; then what it could not do, and how to go on. */
export function renderReport({ report, rows }: ReportView, nowMs: number, all: boolean): string {
  const shown = rows
    .filter(({ verdict }) => all || verdict !== quiet)
    .toSorted((one, other) => rank(one) - rank(other) || (one.workload < other.workload ? -1 : 1));
  const listed = all ? shown : shown.slice(0, maxRows);
  const more = shown.length - listed.length;
  const parts = [
    headline(report, rows, nowMs),
    ...(listed.length === 0 ? [] : [tableOf(listed, report.dryRun)]),
    ...(more === 0 ? [] : [`... and ${more} more: \`landfall drift --all\`.`]),
    ...report.guarded.map(renderPlan),
    ...(report.troubles.length === 0
      ? []
      : [`What could not be asked:\n${report.troubles.map((each) => `  ${oneLine(each)}`).join("\n")}`]),
    ...legend(listed),
  ];
  return parts.join("\n\n");
}

/** What the guard stopped, and how to go on. */
export function renderPlan(plan: GuardedPlan): string {
  const { target, actionable, references } = plan;
  return [
    `The guard stopped ${target}: ${actionable} of ${references} images would be deployed though no event explains it.`,
    "To deploy exactly this plan:",
    `  ${approval(plan)}`,
  ].join("\n");
}

function headline(
  { startedMs, finishedMs = startedMs, by, dryRun, adopt, targets = [] }: ReportView["report"],
  rows: readonly DriftView[],
  nowMs: number,
): string {
  const how = [...(dryRun ? ["dry run"] : []), ...(adopt ? ["adopting"] : [])];
  const counts = Map.groupBy(rows, ({ shown }) => shown);
  const counted = [...counts]
    .toSorted(([, one], [, other]) => other.length - one.length)
    .map(([name, each]) => `${each.length} ${name}`);
  return [
    `${ago(finishedMs, nowMs)} (${instant(finishedMs)}): compared ${rows.length} container${rows.length === 1 ? "" : "s"} in ${took(finishedMs - startedMs)}, for ${oneLine(by)}${how.length === 0 ? "" : ` (${how.join(", ")})`}`,
    ...(counted.length === 0 ? [] : [`${counted.join(", ")}.`]),
    ...targets
      .filter(({ unmanaged }) => unmanaged > 0)
      .map(
        ({ target, unmanaged }) =>
          `${target} also has ${unmanaged} workload${unmanaged === 1 ? "" : "s"} of which nothing is followed.`,
      ),
  ].join("\n");
}

function tableOf(rows: readonly DriftView[], dryRun: boolean): string {
  const containers = Map.groupBy(rows, ({ workload }) => workload);
  return table(
    ["WORKLOAD", "VERDICT", "IMAGE", "RUNNING", "DEPLOYED", "WANTED", "WHY"],
    rows.map((row) => {
      const several = (containers.get(row.workload)?.length ?? 0) > 1;
      const { image, digest } = runningOf(row.running);
      return [
        several ? `${row.workload} [${row.container}]` : row.workload,
        row.shown,
        image,
        shortDigest(digest),
        shortDigest(row.deployed),
        shortDigest(row.wanted),
        why(row, dryRun),
      ];
    }),
  );
}

function runningOf(image: string): { readonly image: string; readonly digest: string | undefined } {
  const read = parseReference(image);
  if (read.kind === "invalid") return { image: shortImage(image), digest: undefined };
  const { repository, tag, digest } = read.reference;
  return { image: printReference({ repository, ...(tag === undefined ? {} : { tag }) }), digest };
}

/** What was or would be done about it, and what stands in the way. */
function why({ verdict, shown, reason, seq, rollout, wanted }: DriftView, dryRun: boolean): string {
  if (seq !== undefined) return [`rollout ${seq}`, rollout ?? ""].join(" ").trim();
  if (reason !== undefined) return reason === shown ? "" : shortDigests(reason.replace(`${shown}: `, ""));
  if (verdict === "missed" && shown !== "guarded" && dryRun)
    return `would be brought to ${shortDigest(wanted)}`;
  return "";
}

function shortDigests(text: string): string {
  return text.replace(/sha256:([0-9a-f]{12})[0-9a-f]{52}/g, "$1");
}

function legend(rows: readonly DriftView[]): readonly string[] {
  const names = [...new Set(rows.map(({ shown }) => shown))];
  const lines = names.flatMap((name) => {
    const explained = explainDrift(name) ?? (isSkipReason(name) ? explainSkip(name) : undefined);
    return explained === undefined
      ? []
      : [[name, [explained.sentence, explained.next].filter((part) => part !== "").join(" ")]];
  });
  return lines.length === 0 ? [] : [columns(lines, "  ")];
}

/** What is being repaired needs nobody, unless that fails. */
function rank({ shown, seq, rollout }: DriftView): number {
  if (rollout !== undefined && failed.has(rollout)) return -1;
  const at = order.indexOf(seq === undefined ? shown : "missed");
  if (at !== -1) return at;
  return shown === quiet ? order.length + 1 : order.length;
}
