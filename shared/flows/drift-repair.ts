import { isDeepStrictEqual } from "node:util";
import type { Digest } from "../domain/reference.ts";
import type { Wanted } from "../domain/rollout.ts";
import type { Container } from "../domain/workload.ts";
import { isTargetTrouble, messageOf } from "../errors.ts";
import type { Stored, Verdict, WorkloadDocument } from "../ledger/ledger.ts";
import type { DriftRow } from "../ledger/report-document.ts";
import type { FlowDeps, FlowTarget } from "./deps.ts";
import type { Found } from "./drift-find.ts";
import { isActionable } from "./drift-guard.ts";
import type { FullRunOrder } from "./full-run.ts";
import { noticeWrites } from "./notices.ts";
import { plan } from "./plan.ts";
import { newDocument, type Ticket } from "./plan-writes.ts";
import { record } from "./record.ts";

interface RepairOrder {
  readonly id: string;
  readonly order: FullRunOrder;
  readonly at: FlowTarget;
  readonly found: readonly Found[];
  readonly records: ReadonlyMap<string, Stored<"workloads">>;
  /** Whether anything may be deployed. */
  readonly acts: boolean;
}

const keptRepairs = 10;

/** Plans what is to be repaired, notes what becomes a baseline, tells what somebody else changed: one row a container. */
export async function repair(
  deps: FlowDeps,
  run: RepairOrder,
): Promise<{ readonly rows: readonly DriftRow[]; readonly tickets: readonly Ticket[] }> {
  const rows: DriftRow[] = [];
  const tickets: Ticket[] = [];
  for (const found of run.found) {
    const stored = run.records.get(found.workload.id);
    if (run.acts && isActionable(found, run.order.adopt)) {
      const done = await bring(deps, run, found, stored);
      rows.push(...rowsOf(found, stored, done));
      if (done.ticket !== undefined) tickets.push(done.ticket);
      continue;
    }
    if (!run.order.dryRun) {
      const { decision } = found;
      if (decision.kind === "new" || decision.kind === "in-sync") {
        await noteBaseline(deps, found, stored, decision);
      }
      if (found.decision.kind === "changed-outside") await tellOnce(deps, run.id, found, stored);
    }
    rows.push(...rowsOf(found, stored, {}));
  }
  return { rows, tickets };
}

interface Done {
  readonly seq?: number;
  readonly reason?: string;
  readonly ticket?: Ticket;
}

async function bring(
  deps: FlowDeps,
  { id, order, at }: RepairOrder,
  { workload, seen }: Found,
  stored: Stored<"workloads"> | undefined,
): Promise<Done> {
  if (seen === undefined) return {};
  const nowMs = await deps.ledger.clock();
  const repairs = [{ digest: seen.digest, atMs: nowMs }, ...(stored?.value.repairs ?? [])].slice(
    0,
    keptRepairs,
  );
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
      more: { repairs },
    });
    const { verdict, ticket } = planned ?? {};
    return {
      ...(verdict?.seq === undefined ? {} : { seq: verdict.seq }),
      ...(verdict?.reason === undefined ? {} : { reason: why(verdict) }),
      ...(ticket === undefined ? {} : { ticket }),
    };
  } catch (error) {
    // One failing workload never stops the others.
    if (!isTargetTrouble(error)) throw error;
    return { reason: messageOf(error) };
  }
}

function why({ reason = "", detail }: Verdict): string {
  return detail === undefined ? reason : `${reason}: ${detail}`;
}

/** What runs is put on record as it is, beside what is wanted now: nobody is asked, and nothing is touched. */
async function noteBaseline(
  deps: FlowDeps,
  { workload, containers }: Found,
  stored: Stored<"workloads"> | undefined,
  { kind, to }: { readonly kind: "new" | "in-sync"; readonly to: Wanted },
): Promise<void> {
  const before = stored?.value ?? newDocument(workload);
  if (containers.every(({ name }) => before.deployed?.[name] !== undefined)) return;
  const baseline = {
    ...imagesOf(workload.containers),
    ...before.baseline,
    // Whoever brought it to what is wanted did what Landfall would have done.
    ...(kind === "in-sync" ? imagesOf(containers) : {}),
  };
  const wanted = Object.fromEntries(
    Object.entries(to).map(([name, { digest }]): [string, Digest] => [name, digest]),
  );
  const baselineWanted = { ...before.baselineWanted, ...wanted };
  const value: WorkloadDocument = { ...before, baseline, baselineWanted };
  if (
    isDeepStrictEqual(before.baseline, baseline) &&
    isDeepStrictEqual(before.baselineWanted, baselineWanted)
  )
    return;
  await record(deps, "drift.baseline", [
    { collection: "workloads", id: workload.id, expect: stored?.rev ?? 0, value },
  ]);
}

async function tellOnce(
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

function rowsOf(
  { workload, containers, seen, decision }: Found,
  stored: Stored<"workloads"> | undefined,
  { seq, reason }: Done,
): readonly DriftRow[] {
  const told = reason ?? ("detail" in decision ? decision.detail : undefined);
  const name = decision.kind === "skipped" ? decision.reason : undefined;
  const text = [name, told].filter((each) => each !== undefined).join(": ");
  return containers.map((container) => {
    const deployed = stored?.value.deployed?.[container.name];
    return {
      workload: workload.id,
      container: container.name,
      running: container.image,
      ...(deployed === undefined ? {} : { deployed }),
      ...(seen === undefined ? {} : { wanted: seen.digest }),
      verdict: decision.kind === "unrelated" ? "skipped" : decision.kind,
      ...(text === "" ? {} : { reason: text }),
      ...(seq === undefined ? {} : { seq }),
    };
  });
}

function imagesOf(containers: readonly Container[]): Readonly<Record<string, string>> {
  return Object.fromEntries(containers.map(({ name, image }) => [name, image]));
}
