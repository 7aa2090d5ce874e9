import type { LeaseDocument } from "../ledger/report-document.ts";
import type { FlowDeps } from "./deps.ts";
import { record } from "./record.ts";

/** The document that lets one full run at a time go on, and names the last report. */
export const fullRunLease = "full-run";
/** How long a full run that gives no sign of life keeps others from beginning, ms. */
const turnMs = 10 * 60_000;
/** How often it gives one, ms. */
const renewMs = 60_000;

/** Another full run is under way. */
export interface Busy {
  readonly kind: "busy";
  /** Its report's id, once that is written. */
  readonly id: string;
  /** Who asked for it. */
  readonly by: string;
  /** When it is over at the latest, ms. */
  readonly untilMs: number;
}

/** The right to be the only full run. */
export interface Turn {
  readonly kind: "taken";
  /** What full runs before this one left. */
  readonly before: LeaseDocument;
  /**
   * To be called again and again: makes it last longer.
   * @throws TurnLostError when somebody else has it
   */
  keep(): Promise<void>;
  /**
   * From now on a stopped plan is being carried out.
   * @throws TurnLostError when somebody else has the turn
   */
  begin(fingerprint: string): Promise<void>;
  /**
   * Gives it back, and leaves something for the runs after this one.
   * @throws TurnLostError when somebody else has it
   */
  end(left: Pick<LeaseDocument, "report" | "cursors" | "guarded">): Promise<void>;
}

/** A full run took so long without a sign of life that another one has begun. */
export class TurnLostError extends Error {
  readonly to: Busy;

  constructor(to: Busy) {
    super("another full run has begun");
    this.to = to;
  }
}

/** Takes the turn of full runs; `busy`: another one has it. */
export async function takeTurn(deps: FlowDeps, id: string, by: string): Promise<Turn | Busy> {
  for (;;) {
    const stored = await deps.ledger.get("leases", fullRunLease);
    const nowMs = await deps.ledger.clock();
    const { holder, ...before } = stored?.value ?? {};
    if (holder !== undefined && holder.untilMs > nowMs) return busy(holder);
    const value: LeaseDocument = { ...before, holder: { id, by, untilMs: nowMs + turnMs } };
    const write = { collection: "leases", id: fullRunLease, expect: stored?.rev ?? 0, value } as const;
    if ((await record(deps, "drift.lease", [write])) === "written") return turn(deps, id, by, before);
  }
}

function turn(deps: FlowDeps, id: string, by: string, before: LeaseDocument): Turn {
  let keptMs = deps.clock.monotonic();

  const change = async (of: (rest: LeaseDocument, nowMs: number) => LeaseDocument): Promise<void> => {
    for (;;) {
      const stored = await deps.ledger.get("leases", fullRunLease);
      const nowMs = await deps.ledger.clock();
      const { holder, ...rest } = stored?.value ?? {};
      if (stored === undefined || holder?.id !== id) {
        throw new TurnLostError(busy(holder ?? { id: "", untilMs: nowMs }));
      }
      const value = of(rest, nowMs);
      const write = { collection: "leases", id: fullRunLease, expect: stored.rev, value } as const;
      if ((await record(deps, "drift.lease", [write])) === "written") return;
    }
  };

  return {
    kind: "taken",
    before,
    async keep() {
      const now = deps.clock.monotonic();
      if (now - keptMs < renewMs) return;
      keptMs = now;
      await change((rest, nowMs) => ({ ...rest, holder: { id, by, untilMs: nowMs + turnMs } }));
    },
    begin: (begun) =>
      change(({ guarded = [], ...rest }, nowMs) => ({
        ...rest,
        holder: { id, by, untilMs: nowMs + turnMs },
        guarded: guarded.map((plan) => (plan.fingerprint === begun ? { ...plan, begun: true } : plan)),
      })),
    end: (left) => change((rest) => ({ ...rest, ...left })),
  };
}

function busy({ id, by = "somebody", untilMs }: NonNullable<LeaseDocument["holder"]>): Busy {
  return { kind: "busy", id, by, untilMs };
}
