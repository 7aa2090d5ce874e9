import { type Aftermath, decideAftermath, goodsOf } from "../decide/aftermath.ts";
import type { Digest } from "../domain/reference.ts";
import { type Blame, printWanted, type Rollout, type Wanted } from "../domain/rollout.ts";
import type { Hold, OpenRollout, WorkloadDocument, Write } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";
import { closing, deployedBy, type Ending, undoneBy } from "./history.ts";
import { wakeNext } from "./places.ts";
import type { Ticket } from "./plan-writes.ts";
import { record } from "./record.ts";
import { rolloutNotice } from "./rollout-notice.ts";
import { rebase } from "./save.ts";
import { successorOf } from "./successor.ts";

export interface End extends Ending {
  readonly blame?: Blame;
  /** The target still shows what the rollout wrote, though it failed. */
  readonly stands?: boolean;
  readonly guilty?: readonly string[];
  readonly short?: boolean;
  readonly restored?: boolean;
}

/**
 * Ends a rollout: its history, the workload's state and what follows from a failure in one batch, then the next one that
 * waits for the place.
 * @returns the rollout that undoes it, to be carried on at once
 */
export async function finish(deps: FlowDeps, ticket: Ticket, end: End): Promise<Ticket | undefined> {
  const nowMs = await deps.ledger.clock();
  const undone = await undoneBy(deps, ticket.document.value.workload, ticket.open, end);
  for (let current: Ticket | undefined = ticket; ; current = await rebase(deps, current)) {
    if (current === undefined) return undefined;
    const { document, open } = current;
    const aftermath = end.state === "failed" ? aftermathOf(deps, current, end) : undefined;
    const { open: _open, unproven: _unproven, retry: _retry, ...rest } = document.value;
    const settled = { ...rest, ...consequences(document.value, open, end, aftermath, nowMs) };
    const next = successorOf(deps, document.value, open, aftermath, end, nowMs);
    const value: WorkloadDocument = next === undefined ? settled : { ...settled, ...next.document };
    const write = { collection: "workloads", id: document.id, expect: document.rev, value } as const;
    const { reason, blame } = end;
    const state = stateOf(end, aftermath);
    const outcome = { state, reason: reasonOf(reason, aftermath), ...(blame === undefined ? {} : { blame }) };
    const history = closing(document.value, open, outcome, nowMs);
    const more: readonly Write[] = [
      ...(undone === undefined ? [] : [undone]),
      ...(next === undefined ? [] : [next.rollout]),
      ...rolloutNotice(deps, current, outcome, { undone, next: next?.open }, nowMs),
    ];
    if ((await record(deps, "workload.finish", [write, history, ...more])) === "conflict") continue;
    tell(deps, current, outcome, nowMs);
    // A rollback keeps the place on the target, everything else lets the next one have it.
    if (next?.open.lease === undefined) {
      await wakeNext(deps, document.value.target);
      return undefined;
    }
    return { document: { ...document, rev: document.rev + 1, value }, open: next.open };
  }
}

function tell(
  deps: FlowDeps,
  { document, open }: Ticket,
  { state, reason }: Pick<Rollout, "state" | "reason">,
  nowMs: number,
): void {
  const { workload } = document.value;
  const { seq, times } = open;
  // A rollback that fails leaves the workload with what failed, and nothing more is done for it.
  const isLost = state === "rollback-unavailable" || (state === "failed" && open.cause.kind === "rollback");
  const severity = isLost ? "alert" : ["failed", "rolling-back"].includes(state) ? "error" : "notice";
  deps.log.write(severity, `${workload}: rollout ${seq} ${state}: ${reason}`, {
    workload,
    seq,
    tookMs: nowMs - (times.heard ?? times.planned),
  });
}

function aftermathOf({ rollback }: FlowDeps, { document, open }: Ticket, end: End): Aftermath {
  return decideAftermath({
    to: open.to,
    blame: end.blame ?? "environment",
    isRollback: open.cause.kind === "rollback",
    stands: end.stands === true,
    restored: end.restored === true,
    short: end.short === true,
    guilty: end.guilty ?? [],
    retries: open.retries ?? 0,
    goods: goodsOf(document.value),
    rules: { rollback },
  });
}

function stateOf(end: End, aftermath: Aftermath | undefined): Rollout["state"] {
  switch (aftermath?.kind) {
    case undefined:
      return end.state;
    case "stay":
    case "retry":
      return "failed";
    case "restored":
      return "rolled-back";
    case "roll-back":
      return "rolling-back";
    case "unavailable":
      return "rollback-unavailable";
    default:
      return aftermath satisfies never;
  }
}

function reasonOf(reason: string, aftermath: Aftermath | undefined): string {
  return aftermath?.kind === "unavailable" ? `${reason}; it stays: ${aftermath.why}` : reason;
}

const maxEarlierGood = 9;

function consequences(
  before: WorkloadDocument,
  open: OpenRollout,
  end: End,
  aftermath: Aftermath | undefined,
  nowMs: number,
): Partial<WorkloadDocument> {
  const { to, cause } = open;
  const digests: Record<string, Digest> = {};
  for (const [name, wanted] of Object.entries(to)) digests[name] = wanted.digest;
  const deployed = { ...before.deployed, ...digests };
  const others = Object.entries(before.unproven ?? {}).filter(([name]) => digests[name] === undefined);
  const unproven = others.length === 0 ? {} : { unproven: Object.fromEntries(others) };
  switch (end.state) {
    case "succeeded":
      return { ...unproven, deployed, ...goodNow(before, to, cause.kind === "rollback") };
    case "failed": {
      const held = aftermath !== undefined && "held" in aftermath ? aftermath.held : [];
      const isUnproven = end.stands === true && end.blame === "environment";
      return {
        ...(isUnproven ? { unproven: { ...before.unproven, ...digests } } : unproven),
        ...(end.stands === true ? { deployed } : {}),
        holds: [...before.holds, ...held.map((digest) => holdOf(digest, to, end.reason, nowMs))],
      };
    }
    case "superseded":
      return {
        ...deployedBy(before, open),
        ...(before.unproven === undefined ? {} : { unproven: before.unproven }),
      };
    default:
      return end.state satisfies never;
  }
}

/**
 * What runs now is good; what was good before stays known, and what was gone back to is not known twice. What a rollback
 * left behind is not known as good any more: the next one goes further back, and never there again.
 */
function goodNow(
  { lastGood, earlierGood = [] }: WorkloadDocument,
  to: Wanted,
  isRollback: boolean,
): Pick<WorkloadDocument, "lastGood" | "earlierGood"> {
  const now = printWanted(to);
  const next = { ...lastGood, ...now };
  const known = [...(lastGood === undefined ? [] : [lastGood]), ...earlierGood];
  const back = known.findIndex((images) =>
    Object.entries(now).every(([name, image]) => images[name] === image),
  );
  const same = (images: Readonly<Record<string, string>>) => JSON.stringify(images) === JSON.stringify(next);
  const earlier = isRollback
    ? known.slice(back === -1 ? known.length : back + 1)
    : known.filter((images) => !same(images));
  return { lastGood: next, earlierGood: earlier.slice(0, maxEarlierGood) };
}

function holdOf(digest: Digest, to: Wanted, reason: string, sinceMs: number): Hold {
  const containers = Object.keys(to).filter((name) => to[name]?.digest === digest);
  return { digest, reason, sinceMs, containers };
}
