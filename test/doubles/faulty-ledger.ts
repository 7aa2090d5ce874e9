import { LedgerUnavailableError } from "../../shared/errors.ts";
import type { Collection, CommitOutcome, Ledger, Write } from "../../shared/ledger/ledger.ts";

/** One call to a ledger, as faults and schedules see it. */
interface LedgerCall {
  /** 0 for the first call since the wrapper was made. */
  readonly index: number;
  readonly method: Exclude<keyof Ledger, "close">;
  /** Documents that are read or written by id. */
  readonly documents: readonly { readonly collection: Collection; readonly id: string }[];
  readonly writes: readonly Write[];
  readonly writer?: string;
}

/** `refuse`: nothing happens, the caller gets an error. `lose-answer`: it happens, the caller gets the same error. */
type LedgerFault = "none" | "refuse" | "lose-answer";

interface LedgerCounts {
  /** Calls of `get`. */
  readonly documentReads: number;
  /** Calls of due, underWay, planned, workloads, rollouts and events. */
  readonly queries: number;
  /** Documents in commits that took effect. */
  readonly documentWrites: number;
  /** Commits that took effect. */
  readonly commits: number;
  readonly conflicts: number;
  readonly clockReads: number;
}

export interface FaultyLedgerOptions {
  /** What befalls a call; default nothing. */
  readonly fault?: (call: LedgerCall) => LedgerFault;
  /**
   * Called before a call reaches the ledger and before its answer reaches the caller; the call goes on when it
   * resolves. With fast-check: `(call, phase) => scheduler.schedule(Promise.resolve(), `${call.method} ${phase}`)`.
   */
  readonly schedule?: (call: LedgerCall, phase: "request" | "answer") => Promise<unknown>;
}

export interface FaultyLedger extends Ledger {
  /** What happened since the wrapper was made or last reset. */
  readonly counts: LedgerCounts;
  readonly calls: readonly LedgerCall[];
  reset(): void;
}

const none: LedgerCounts = {
  documentReads: 0,
  queries: 0,
  documentWrites: 0,
  commits: 0,
  conflicts: 0,
  clockReads: 0,
};

/** Any ledger, counted, and as unreliable as a test wants it. */
export function faultyLedger(inner: Ledger, options: FaultyLedgerOptions = {}): FaultyLedger {
  const { fault = () => "none", schedule = async () => {} } = options;
  let index = 0;
  let counts = none;
  let calls: LedgerCall[] = [];

  function count(kind: keyof LedgerCounts, by = 1): void {
    counts = { ...counts, [kind]: counts[kind] + by };
  }

  async function through<T>(
    about: Pick<LedgerCall, "method"> & Partial<LedgerCall>,
    act: () => Promise<T>,
    tally: (answer: T) => void,
  ): Promise<T> {
    const call: LedgerCall = { documents: [], writes: [], ...about, index: index++ };
    calls.push(call);
    await schedule(call, "request");
    const befalls = fault(call);
    if (befalls === "refuse") throw new LedgerUnavailableError(`${call.method} was refused by the test`);
    const answer = await act();
    tally(answer);
    await schedule(call, "answer");
    if (befalls === "lose-answer") {
      throw new LedgerUnavailableError(`the answer to ${call.method} was lost by the test`);
    }
    return answer;
  }
  const query = <T>(method: LedgerCall["method"], act: () => Promise<T>) =>
    through({ method }, act, () => count("queries"));

  return {
    get counts() {
      return counts;
    },
    get calls() {
      return calls;
    },
    reset: () => {
      counts = none;
      calls = [];
    },
    get: (collection, id) =>
      through(
        { method: "get", documents: [{ collection, id }] },
        () => inner.get(collection, id),
        () => count("documentReads"),
      ),
    commit: (writer, writes, checks) =>
      through<CommitOutcome>(
        {
          method: "commit",
          documents: writes.map(({ collection, id }) => ({ collection, id })),
          writes,
          writer,
        },
        () => inner.commit(writer, writes, checks),
        ({ kind }) => {
          if (kind === "conflict") return count("conflicts");
          count("commits");
          count("documentWrites", writes.length);
        },
      ),
    due: (nowMs, limit) => query("due", () => inner.due(nowMs, limit)),
    underWay: (target) => query("underWay", () => inner.underWay(target)),
    planned: (target, limit) => query("planned", () => inner.planned(target, limit)),
    images: () => query("images", () => inner.images()),
    workloads: () => query("workloads", () => inner.workloads()),
    workloadsOf: (target, page) => query("workloadsOf", () => inner.workloadsOf(target, page)),
    rollouts: (filter, limit) => query("rollouts", () => inner.rollouts(filter, limit)),
    events: (filter, limit) => query("events", () => inner.events(filter, limit)),
    clock: () =>
      through(
        { method: "clock" },
        () => inner.clock(),
        () => count("clockReads"),
      ),
    close: () => inner.close(),
  };
}
