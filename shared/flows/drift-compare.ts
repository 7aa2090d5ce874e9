import { isActionable } from "../decide/drift.ts";
import type { Workload } from "../domain/workload.ts";
import type { Stored } from "../ledger/ledger.ts";
import type { DriftRow, GuardedPlan } from "../ledger/report-document.ts";
import type { FlowDeps } from "./deps.ts";
import { type Comparison, type Found, findDrift } from "./drift-find.ts";
import { guardOf, stoppedReason, tellStopped } from "./drift-guard.ts";
import type { Listed } from "./drift-list.ts";
import { newProver } from "./drift-prove.ts";
import type { Questions } from "./drift-questions.ts";
import { type Compared, note, repair, rowsOf } from "./drift-repair.ts";
import type { ReportWriter } from "./drift-report.ts";
import type { Turn } from "./drift-turn.ts";
import type { FullRunOrder } from "./full-run.ts";
import type { Ticket } from "./plan-writes.ts";

/** Documents of workloads that are in memory at once. */
const pageSize = 500;
/** Workloads that are repaired at once. */
const repairsAtOnce = 8;

export interface TargetRun {
  readonly id: string;
  readonly order: FullRunOrder;
  readonly listed: Listed;
  readonly questions: Questions;
  readonly wishOf: Comparison["wishOf"];
  readonly report: ReportWriter;
  /** Whether anything may be deployed. */
  readonly acts: boolean;
  /** The kept plan that a person has approved. */
  readonly approved: GuardedPlan | undefined;
  readonly turn: Pick<Turn, "keep" | "begin">;
}

/** Compares one target's workloads with the ledger, page by page; when all were compared, repairs what may be repaired. */
export async function compareTarget(
  deps: FlowDeps,
  run: TargetRun,
): Promise<{ readonly guarded: readonly GuardedPlan[]; readonly tickets: readonly Ticket[] }> {
  const { id, order, listed } = run;
  const { at, references } = listed;
  deps.log.write("info", `${at.target.name}: comparing ${listed.workloads.size} workloads`, { report: id });
  const acting = await compareAll(deps, run);
  const guard = await guardOf(deps, at, acting, references.size, order, run.approved);
  if (guard.kind === "stop") await tellStopped(deps, id, guard, order.dryRun);
  const why =
    guard.kind === "stop"
      ? guard.why === "guarded"
        ? stoppedReason
        : "guarded: it is not the plan that was approved"
      : undefined;
  const isObserved = at.mode === "observe";
  const mayAct = run.acts && guard.kind === "go" && !order.dryRun && !isObserved;
  const tickets: Ticket[] = [];
  const { approved } = run;
  if (mayAct && acting.length > 0 && approved !== undefined) await run.turn.begin(approved.fingerprint);
  for (let from = 0; from < acting.length; from += repairsAtOnce) {
    await run.turn.keep();
    const some = acting.slice(from, from + repairsAtOnce);
    const repaired = await Promise.all(
      some.map(async (found) => {
        if (mayAct) return repair(deps, { id, order, at }, found);
        const rows = rowsOf(found, why);
        return { rows: isObserved ? rows.map(observed) : rows };
      }),
    );
    for (const each of repaired) {
      await run.report.add(each.rows);
      // The others are begun by whoever makes room for them.
      if ("ticket" in each && each.ticket !== undefined && tickets.length < deps.maxParallel) {
        tickets.push(each.ticket);
      }
    }
  }
  return { guarded: guard.kind === "stop" ? [guard.plan] : [], tickets };
}

function observed(row: DriftRow): DriftRow {
  return { ...row, verdict: "would-roll-out" };
}

/** @returns what a full run would deploy; of all else there are rows, and what has to be on record is */
async function compareAll(deps: FlowDeps, run: TargetRun): Promise<readonly Found[]> {
  const { order, listed, questions, wishOf, turn } = run;
  const { at, workloads, unmanaged } = listed;
  const acting: Found[] = [];
  const prove = newProver(deps, at.target);
  const compare = async (page: readonly (readonly [Workload, Stored<"workloads"> | undefined])[]) => {
    await turn.keep();
    const { adopt, images } = order;
    const nowMs = await deps.ledger.clock();
    const comparison: Comparison = { at, questions, wishOf, prove, images, adopt, nowMs };
    const left: Compared[] = [];
    for (const [workload, stored] of page) {
      for (const found of await findDrift(deps, comparison, workload, stored)) {
        if (isActionable(found.decision, adopt)) acting.push(found);
        else left.push([found, stored]);
      }
    }
    await run.report.add(left.flatMap(([found]) => rowsOf(found)));
    if (!order.dryRun) await note(deps, run.id, left);
  };
  const isChosen = (id: string) => order.workloads?.includes(id) ?? true;
  const isWhole = order.workloads === undefined && order.images === undefined;
  const compared = new Set<string>();
  for await (const page of recordsOf(deps, at.target.name)) {
    const there = page.flatMap((stored) => {
      const workload = workloads.get(stored.id);
      if (workload === undefined) return [];
      compared.add(stored.id);
      return isChosen(stored.id) ? [[workload, stored] as const] : [];
    });
    await compare(there);
    const gone = page.filter(({ id }) => isWhole && !workloads.has(id) && !unmanaged.has(id));
    await run.report.add(gone.flatMap(missingRows));
  }
  let unknown: (readonly [Workload, undefined])[] = [];
  for (const [id, workload] of workloads) {
    if (compared.has(id) || !isChosen(id)) continue;
    unknown.push([workload, undefined]);
    if (unknown.length < pageSize) continue;
    await compare(unknown);
    unknown = [];
  }
  if (unknown.length > 0) await compare(unknown);
  return acting;
}

/** The ledger's documents of a target's workloads, page by page. */
async function* recordsOf(
  { ledger }: Pick<FlowDeps, "ledger">,
  target: string,
): AsyncGenerator<readonly Stored<"workloads">[]> {
  for (let after: { readonly after?: string } = {}; ; ) {
    const page = await ledger.workloadsOf(target, { ...after, limit: pageSize });
    yield page;
    const last = page.at(-1);
    if (last === undefined || page.length < pageSize) return;
    after = { after: last.id };
  }
}

/** A workload that Landfall deployed to once and that is no longer there. */
function missingRows({ value }: Stored<"workloads">): readonly DriftRow[] {
  if (value.deployed === undefined) return [];
  return Object.entries(value.lastGood ?? {}).map(([container, running]) => ({
    workload: value.workload,
    container,
    running,
    verdict: "missing",
    reason: "Landfall deployed it, and it is no longer at its target",
  }));
}
