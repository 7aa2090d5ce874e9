import type { DriftRow, GuardedPlan, LeaseDocument, ReportDocument } from "../ledger/report-document.ts";
import { advance } from "./advance.ts";
import type { Budget, FlowDeps } from "./deps.ts";
import { askAll } from "./drift-ask.ts";
import { compareTarget } from "./drift-compare.ts";
import { type Listed, listTargets } from "./drift-list.ts";
import { answerTo, newKnown } from "./drift-look.ts";
import { newQuestions, type Question } from "./drift-questions.ts";
import { countsText, reportWriter, summaryOf } from "./drift-report.ts";
import { type Busy, type Turn, TurnLostError, takeTurn } from "./drift-turn.ts";
import type { Ticket } from "./plan-writes.ts";

/** What a full run is asked to do. */
export interface FullRunOrder {
  readonly dryRun: boolean;
  /** Treats what is new and what somebody else changed as a lost event. */
  readonly adopt: boolean;
  /** Names of targets, addresses of workloads, repositories; absent: all. */
  readonly targets?: readonly string[];
  readonly workloads?: readonly string[];
  readonly images?: readonly string[];
  /** Deploys the plan with this fingerprint though the guard stopped it. */
  readonly approve?: string;
  /** Who asks for it. */
  readonly by: string;
}

export interface FullRun {
  readonly kind: "report";
  readonly id: string;
  readonly report: ReportDocument;
  /** Absent where there are more than 1,000: they are in the ledger, in chunks. */
  readonly rows?: readonly DriftRow[];
}

/** How far a full run has come: targets that were compared, and questions that were asked of registries. */
export interface FullRunProgress {
  readonly targets: number;
  readonly ofTargets: number;
  readonly asked: number;
  readonly ofAsked: number;
}

/** What keeps a full run from being carried out: it names what the configuration does not have. */
export function unknownTargets(
  { targets }: Pick<FlowDeps, "targets">,
  order: Pick<FullRunOrder, "targets">,
): string | undefined {
  const known = targets.map(({ target }) => target.name);
  const unknown = order.targets?.filter((name) => !known.includes(name)) ?? [];
  return unknown.length === 0 ? undefined : `the configuration has no target ${unknown.join(", ")}`;
}

/** Stopped plans that are kept for somebody to approve. */
const keptPlans = 20;

/**
 * Compares what runs with what is wanted, everywhere, and repairs what lost events left behind. Targets are listed
 * before anything is asked of a registry, each thing that is followed is asked once, and everything is read again right
 * before it is written. What is in memory at once is the lists, and pages of all else.
 * @returns `busy` while another full run is under way
 * @throws LedgerUnavailableError (retryable)
 */
export async function fullRun(
  deps: FlowDeps,
  order: FullRunOrder,
  budget: Budget,
  onProgress?: (progress: FullRunProgress) => void,
): Promise<FullRun | Busy> {
  const id = `drift-${deps.newId()}`;
  const turn = await takeTurn(deps, id, order.by);
  if (turn.kind === "busy") return turn;
  try {
    const { run, tickets } = await runAll(deps, id, turn, order, onProgress);
    await Promise.all(
      tickets.map((ticket) => advance(deps, ticket.document.value.workload, ticket.open.seq, budget, ticket)),
    );
    return run;
  } catch (error) {
    // It is the other one's business now: what this one had planned is on record.
    if (error instanceof TurnLostError) return error.to;
    throw error;
  }
}

async function runAll(
  deps: FlowDeps,
  id: string,
  turn: Turn,
  asked: FullRunOrder,
  onProgress: ((progress: FullRunProgress) => void) | undefined,
): Promise<{ readonly run: FullRun; readonly tickets: readonly Ticket[] }> {
  const { order, plan, refusal } = approved(asked, turn.before);
  const startedMs = await deps.ledger.clock();
  deps.log.write("info", `full run for ${asked.by} begins`, { report: id });
  const questions = newQuestions(deps);
  const lists = await listTargets(deps, order.targets, questions);
  await turn.keep();
  const { listed } = lists;
  const toAsk = questionsOf(listed, order);
  const progress = { targets: 0, ofTargets: listed.length, asked: 0, ofAsked: toAsk.length };
  onProgress?.({ ...progress });
  const isWhole = [order.targets, order.workloads, order.images].every((each) => each === undefined);
  const known = await newKnown(deps);
  const answers = await askAll(deps, toAsk, {
    known,
    cursors: (isWhole ? turn.before.cursors : undefined) ?? {},
    onAnswer: async () => {
      progress.asked++;
      onProgress?.({ ...progress });
      await turn.keep();
    },
  });
  const wishOf = (question: Question) => answers.wishes.get(question.key) ?? answerTo(deps, question, known);
  const report = reportWriter(deps, id, order, startedMs);
  const guarded: GuardedPlan[] = [];
  const tickets: Ticket[] = [];
  for (const each of listed) {
    const acts = refusal === undefined;
    const run = { id, order, listed: each, questions, wishOf, report, acts, turn, approved: plan };
    const done = await compareTarget(deps, run);
    guarded.push(...done.guarded);
    tickets.push(...done.tickets);
    progress.targets++;
    onProgress?.({ ...progress });
  }
  const saved = await report.end({
    guarded,
    targets: listed.map(summaryOf),
    troubles: [...(refusal === undefined ? [] : [refusal]), ...lists.troubles, ...answers.troubles],
  });
  await turn.end({
    report: id,
    guarded: keptOf(
      guarded.map((each) => ({ ...each, report: id })),
      turn.before,
      order.dryRun ? undefined : order.approve,
    ),
    // Who looks at a part only, or only looks, leaves the others where they are.
    ...(isWhole && !order.dryRun ? { cursors: answers.cursors } : {}),
  });
  deps.log.write("info", `full run: ${countsText(saved)}`, {
    report: id,
    tookMs: (saved.finishedMs ?? startedMs) - startedMs,
  });
  const rows = report.rows();
  const run: FullRun = { kind: "report", id, report: saved, ...(rows === undefined ? {} : { rows }) };
  return { run, tickets };
}

/** What is followed by what the run is about. */
function questionsOf(listed: readonly Listed[], { workloads, images }: FullRunOrder): readonly Question[] {
  const all = new Map<string, Question>();
  for (const { references, followed } of listed) {
    const chosen = workloads === undefined ? references.values() : followed(workloads);
    for (const question of chosen) {
      if (images?.includes(question.repository) ?? true) all.set(question.key, question);
    }
  }
  return [...all.values()];
}

/** The order that makes the approved plan anew; without that plan nothing may be deployed. */
function approved(
  order: FullRunOrder,
  { guarded = [] }: LeaseDocument,
): { readonly order: FullRunOrder; readonly plan: GuardedPlan | undefined; readonly refusal?: string } {
  const { approve } = order;
  if (approve === undefined) return { order, plan: undefined };
  const plan = guarded.find(({ fingerprint }) => fingerprint === approve);
  if (plan === undefined) {
    return { order, plan, refusal: `no plan ${approve} waits for an approval: nothing is deployed` };
  }
  const { target, adopt = false, workloads, images } = plan;
  const { workloads: _workloads, images: _images, ...rest } = order;
  return {
    order: {
      ...rest,
      adopt,
      targets: [target],
      ...(workloads === undefined ? {} : { workloads }),
      ...(images === undefined ? {} : { images }),
    },
    plan,
  };
}

/** Those that were stopped just now first; one that was approved waits no more. */
function keptOf(
  guarded: readonly GuardedPlan[],
  { guarded: before = [] }: LeaseDocument,
  approve: string | undefined,
): readonly GuardedPlan[] {
  const isStopped = (name: string | undefined) => guarded.some(({ fingerprint }) => fingerprint === name);
  const earlier = before.filter(
    ({ fingerprint }) => !isStopped(fingerprint) && (fingerprint !== approve || isStopped(approve)),
  );
  return [...guarded, ...earlier].slice(0, keptPlans);
}
