import type { Digest } from "../domain/reference.ts";
import { printReference } from "../domain/reference.ts";
import { type Blame, type FinalState, type Wanted, wantedReference } from "../domain/rollout.ts";
import type { WorkloadDocument } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";
import { wakeNext } from "./places.ts";
import { closing, type Ticket } from "./plan.ts";
import { record } from "./record.ts";
import { rebase } from "./save.ts";

export interface End {
  readonly state: FinalState;
  readonly reason: string;
  readonly blame?: Blame;
  /** The target still shows what the rollout wrote, though it failed. */
  readonly stands?: boolean;
}

/** Ends a rollout: its history and the workload's state in one batch, then the next one that waits for the place. */
export async function finish(deps: FlowDeps, ticket: Ticket, end: End): Promise<undefined> {
  const nowMs = await deps.ledger.clock();
  const { state, reason, blame, stands: _ } = end;
  const outcome = { state, reason, ...(blame === undefined ? {} : { blame }) };
  for (let current: Ticket | undefined = ticket; ; current = await rebase(deps, current)) {
    if (current === undefined) return;
    const { document, open } = current;
    const { open: _open, unproven: _unproven, ...rest } = document.value;
    const value: WorkloadDocument = { ...rest, ...consequences(document.value, open.to, end, nowMs) };
    const write = { collection: "workloads", id: document.id, expect: document.rev, value } as const;
    const history = closing(document.value, open, outcome, nowMs);
    if ((await record(deps, "workload.finish", [write, history])) === "written") break;
  }
  const { workload, target } = ticket.document.value;
  const { seq, times } = ticket.open;
  deps.log.write(state === "failed" ? "error" : "notice", `${workload}: rollout ${seq} ${state}: ${reason}`, {
    workload,
    seq,
    tookMs: nowMs - (times.heard ?? times.planned),
  });
  await wakeNext(deps, target);
}

function consequences(
  before: WorkloadDocument,
  to: Wanted,
  end: End,
  nowMs: number,
): Partial<Pick<WorkloadDocument, "deployed" | "lastGood" | "holds" | "unproven">> {
  const digests: Record<string, Digest> = {};
  for (const [name, wanted] of Object.entries(to)) digests[name] = wanted.digest;
  const deployed = { ...before.deployed, ...digests };
  const others = Object.entries(before.unproven ?? {}).filter(([name]) => digests[name] === undefined);
  const unproven = others.length === 0 ? {} : { unproven: Object.fromEntries(others) };
  switch (end.state) {
    case "succeeded": {
      const good = Object.entries(to).map(([name, wanted]) => [
        name,
        printReference(wantedReference(wanted)),
      ]);
      return { ...unproven, deployed, lastGood: { ...before.lastGood, ...Object.fromEntries(good) } };
    }
    case "failed": {
      const held = [...new Set(Object.values(digests))].map((digest) => ({
        digest,
        reason: end.reason,
        sinceMs: nowMs,
      }));
      const isUnproven = end.stands === true && end.blame === "environment";
      return {
        ...(isUnproven ? { unproven: { ...before.unproven, ...digests } } : unproven),
        ...(end.stands === true ? { deployed } : {}),
        ...(end.blame === "image" ? { holds: [...before.holds, ...held] } : {}),
      };
    }
    case "superseded":
      return before.unproven === undefined ? {} : { unproven: before.unproven };
    default:
      return end.state satisfies never;
  }
}
