import { isDeepStrictEqual } from "node:util";
import { verdictOf, worded } from "../decide/drift.ts";
import type { Digest } from "../domain/reference.ts";
import { isTargetTrouble, messageOf } from "../errors.ts";
import type { Stored, WorkloadDocument, Write } from "../ledger/ledger.ts";
import type { DriftRow } from "../ledger/report-document.ts";
import type { FlowDeps, FlowTarget } from "./deps.ts";
import type { Found } from "./drift-find.ts";
import type { FullRunOrder } from "./full-run.ts";
import { noticeWrites, tell } from "./notices.ts";
import { registryReason } from "./observe.ts";
import { plan } from "./plan.ts";
import { newDocument, type Ticket } from "./plan-writes.ts";
import { record } from "./record.ts";

const keptRepairs = 10;
/** Baselines that are written at once. */
const maxBatch = 100;

export interface Repaired {
  readonly rows: readonly DriftRow[];
  readonly ticket?: Ticket;
}

/** Brings one workload to what is wanted: puts a plan on record. */
export async function repair(
  deps: FlowDeps,
  { id, order, at }: { readonly id: string; readonly order: FullRunOrder; readonly at: FlowTarget },
  found: Found,
): Promise<Repaired> {
  const { workload, seen, known } = found;
  if (seen === undefined) return { rows: rowsOf(found) };
  const nowMs = await deps.ledger.clock();
  const repairs = [{ digest: seen.digest, atMs: nowMs }, ...(known.repairs ?? [])];
  const cause = { kind: "drift", event: id, ...(order.adopt ? { by: order.by } : {}) } as const;
  try {
    const planned = await plan(deps, {
      at,
      workload,
      seen,
      cause,
      heardMs: nowMs,
      observedMs: nowMs,
      claim: false,
      adopt: order.adopt,
      more: { repairs: repairs.slice(0, keptRepairs) },
    });
    const { verdict, ticket } = planned ?? {};
    const why = verdict?.reason === undefined ? undefined : worded(verdict.reason, verdict.detail);
    const rows = rowsOf(found, why).map((row) =>
      verdict?.seq === undefined ? row : { ...row, seq: verdict.seq },
    );
    return { rows, ...(ticket === undefined ? {} : { ticket }) };
  } catch (error) {
    // One failing workload never stops the others.
    if (!isTargetTrouble(error) && registryReason(error) === undefined) throw error;
    return { rows: rowsOf(found, messageOf(error)) };
  }
}

/** Each with its document, as it was when it was compared. */
export type Compared = readonly [Found, Stored<"workloads"> | undefined];

/**
 * What is put on record of workloads that are let be: what runs becomes the baseline of those that nothing was deployed
 * to, and people are told of what somebody else changed.
 */
export async function note(deps: FlowDeps, report: string, compared: readonly Compared[]): Promise<void> {
  const baselines = baselinesOf(compared);
  for (let from = 0; from < baselines.length; from += maxBatch) {
    const [first, ...rest] = baselines.slice(from, from + maxBatch);
    if (first === undefined || (await record(deps, "drift.baseline", [first, ...rest])) === "written")
      continue;
    // Who was changed in between waits for the next run.
    for (const write of [first, ...rest]) await record(deps, "drift.baseline", [write]);
  }
  for (const [found, stored] of compared) {
    const { decision } = found;
    if (decision.kind === "changed-outside") await tellChanged(deps, report, found, stored);
    if (decision.kind === "skipped" && decision.reason === "fighting") {
      await tellFighting(deps, report, found);
    }
  }
}

/** What runs as it is, beside what is wanted now: nobody is asked, and nothing is touched. */
function baselinesOf(compared: readonly Compared[]): readonly Write[] {
  const values = new Map<string, { readonly value: WorkloadDocument; readonly expect: number }>();
  for (const [found, stored] of compared) {
    const { workload, containers, decision, running } = found;
    if (decision.kind !== "new" && decision.kind !== "in-sync") continue;
    const before = values.get(workload.id)?.value ?? stored?.value ?? newDocument(workload);
    const left = leftBehind(before, found);
    if (left !== undefined) {
      values.set(workload.id, { value: { ...before, deployed: left }, expect: stored?.rev ?? 0 });
      continue;
    }
    if (containers.every(({ name }) => before.deployed?.[name] !== undefined)) continue;
    const own = Object.fromEntries(containers.map(({ name }) => [name, running[name] ?? ""]));
    const wanted = Object.entries(decision.to).map(([name, { digest }]): [string, Digest] => [name, digest]);
    const value: WorkloadDocument = {
      ...before,
      baseline: {
        ...running,
        ...before.baseline,
        // Whoever brought it to what is wanted did what Landfall would have done.
        ...(decision.kind === "in-sync" ? own : {}),
      },
      baselineWanted: { ...before.baselineWanted, ...Object.fromEntries(wanted) },
    };
    const { baseline, baselineWanted } = before;
    if (
      isDeepStrictEqual(value.baseline, baseline) &&
      isDeepStrictEqual(value.baselineWanted, baselineWanted)
    )
      continue;
    values.set(workload.id, { value, expect: stored?.rev ?? 0 });
  }
  return [...values].map(([id, { value, expect }]) => ({ collection: "workloads", id, value, expect }));
}

/** What is deployed where somebody else brought a workload to what is wanted, as Landfall would have; `undefined`: nobody did. */
function leftBehind(
  { deployed = {} }: WorkloadDocument,
  { containers, decision }: Found,
): WorkloadDocument["deployed"] {
  if (decision.kind !== "in-sync") return undefined;
  const brought = containers.flatMap(({ name }): readonly (readonly [string, Digest])[] => {
    const { digest } = decision.to[name] ?? {};
    const isOther = digest !== undefined && deployed[name] !== undefined && deployed[name] !== digest;
    return isOther ? [[name, digest]] : [];
  });
  return brought.length === 0 ? undefined : { ...deployed, ...Object.fromEntries(brought) };
}

async function tellChanged(
  deps: FlowDeps,
  event: string,
  { workload, seen }: Found,
  stored: Stored<"workloads"> | undefined,
): Promise<void> {
  if (stored === undefined) return;
  const images = workload.containers.map(({ image }) => image);
  const told = `${images.join(" ")} for ${seen?.digest}`;
  if (stored.value.told === told) return;
  const value = { ...stored.value, told };
  const write = { collection: "workloads", id: stored.id, expect: stored.rev, value } as const;
  const notice = {
    kind: "changed-outside",
    subject: workload.id,
    sentence: `it runs ${images.join(", ")}, which is not what was deployed; it is left as it is`,
    next: "`landfall reconcile --adopt` brings it back.",
    event,
    atMs: await deps.ledger.clock(),
  } as const;
  if ((await record(deps, "drift.told", [write, ...noticeWrites(deps, notice)])) === "conflict") return;
  deps.log.write(
    "alert",
    `${workload.id} was changed by somebody else, and is left as it is: \`landfall reconcile --adopt\` brings it back`,
    { outcome: "changed-outside", workload: workload.id },
  );
}

async function tellFighting(
  deps: FlowDeps,
  event: string,
  { workload, seen, decision }: Found,
): Promise<void> {
  const sentence = "detail" in decision ? decision.detail : undefined;
  const notice = {
    kind: "fighting",
    subject: workload.id,
    sentence: `${sentence ?? "it is changed back each time"}; it is left as it is`,
    next: "Find out what changes it; `landfall reconcile --adopt` repairs it once more.",
    event,
    atMs: await deps.ledger.clock(),
  } as const;
  await tell(deps, notice, seen?.digest ?? "");
}

/** One row a container. */
export function rowsOf(
  { workload, containers, seen, decision, known }: Found,
  why?: string,
): readonly DriftRow[] {
  const { verdict, reason = why } = verdictOf(decision, workload);
  return containers.map((container) => {
    const deployed = known.deployed?.[container.name];
    return {
      workload: workload.id,
      container: container.name,
      running: container.image,
      ...(deployed === undefined ? {} : { deployed }),
      ...(seen === undefined ? {} : { wanted: seen.digest }),
      verdict,
      ...(reason === undefined ? {} : { reason }),
    };
  });
}
