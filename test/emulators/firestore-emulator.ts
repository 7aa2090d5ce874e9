import { randomUUID } from "node:crypto";
import { type Clock, systemClock } from "../../shared/clock.ts";
import { firestoreClient } from "../../shared/ledger/firestore/client.ts";
import { isConflict } from "../../shared/ledger/firestore/failures.ts";
import type { FirestoreClient, Query } from "../../shared/ledger/firestore/wire.ts";
import { firestoreLedger } from "../../shared/ledger/firestore.ts";
import type { Ledger } from "../../shared/ledger/ledger.ts";

/** A project of its own in the Firestore emulator that `FIRESTORE_EMULATOR_HOST` names. */
export interface FirestoreProject {
  readonly host: string;
  readonly project: string;
  /** A ledger as another process would have it, with a connection of its own. */
  ledger(around?: Around, clock?: Clock): Ledger;
  /** The emulator's REST interface, below the project's documents. `caller`: nobody, or its owner. */
  rest(
    method: string,
    path: string,
    options?: { readonly caller?: "nobody"; readonly body?: object },
  ): Promise<Response>;
}

/** What stands between a ledger and the client that speaks to Firestore. */
interface Around {
  wrap(client: FirestoreClient): FirestoreClient;
  /** Stands around the opening of the client. */
  opening?<T>(open: () => Promise<T>): Promise<T>;
}

/** What a ledger asked of Firestore, as it is billed. */
interface Bill {
  /** Documents that were read or looked for, and results of queries, at least one a query. */
  readonly reads: number;
  readonly writes: number;
  readonly deletes: number;
  readonly calls: number;
  readonly refused: number;
}

export interface Watched extends Around {
  readonly bill: Bill;
  /** Since it was last asked. */
  spent(): Bill;
  /** Duration of every call, ms, by its kind. */
  readonly tookMs: Readonly<Record<"read" | "commit" | "query" | "count", number[]>>;
  /** Codes of calls that failed without being refused, e.g. 10 for ABORTED. */
  readonly disturbed: number[];
  /** The next commit takes effect, and its answer is lost. */
  loseAnswer(): void;
}

const nothing: Bill = { reads: 0, writes: 0, deletes: 0, calls: 0, refused: 0 };

export function firestoreProject(project = `demo-${randomUUID()}`): FirestoreProject {
  const host = process.env.FIRESTORE_EMULATOR_HOST;
  if (host === undefined || host === "") {
    throw new Error(
      "FIRESTORE_EMULATOR_HOST is not set: host and port of a running Firestore emulator, e.g. 127.0.0.1:8085",
    );
  }
  const connection = { projectId: project, emulatorHost: host };
  return {
    host,
    project,
    ledger: (around, clock = systemClock) => {
      const opening = around?.opening ?? ((act) => act());
      const open = async () => {
        const client = await opening(() => firestoreClient(connection));
        return around?.wrap(client) ?? client;
      };
      return firestoreLedger({ ...connection, clock, open });
    },
    rest: (method, path, { caller, body } = {}) =>
      fetch(`http://${host}/v1/projects/${project}/databases/(default)/documents${path}`, {
        method,
        headers: {
          "content-type": "application/json",
          ...(caller === "nobody" ? {} : { authorization: "Bearer owner" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
  };
}

export function watched(): Watched {
  let bill = nothing;
  let told = nothing;
  let loses = false;
  const disturbed: number[] = [];
  const tookMs: Watched["tookMs"] = { read: [], commit: [], query: [], count: [] };

  function add(more: Partial<Bill>): void {
    bill = sum(bill, { ...nothing, ...more, calls: 1 });
  }
  async function timed<T>(kind: keyof Watched["tookMs"], act: () => Promise<T>): Promise<T> {
    const startMs = performance.now();
    try {
      return await act();
    } catch (error) {
      if (!isConflict(error)) disturbed.push(codeOf(error));
      throw error;
    } finally {
      tookMs[kind].push(performance.now() - startMs);
    }
  }

  return {
    get bill() {
      return bill;
    },
    spent: () => {
      const spent = sum(bill, told, -1);
      told = bill;
      return spent;
    },
    tookMs,
    disturbed,
    loseAnswer: () => {
      loses = true;
    },
    wrap: (client) => ({
      read: async (paths, timeoutMs) => {
        add({ reads: paths.length });
        return timed("read", () => client.read(paths, timeoutMs));
      },
      query: async (query: Query, timeoutMs) => {
        const answer = await timed("query", () => client.query(query, timeoutMs));
        add({ reads: Math.max(1, answer.documents.length) });
        return answer;
      },
      count: async (query, timeoutMs) => {
        add({ reads: 1 });
        return timed("count", () => client.count(query, timeoutMs));
      },
      commit: async (changes, timeoutMs) => {
        try {
          const answer = await timed("commit", () => client.commit(changes, timeoutMs));
          const deletes = changes.filter(({ kind }) => kind === "delete").length;
          add({ writes: changes.length - deletes, deletes });
          if (!loses) return answer;
        } catch (error) {
          add({ refused: 1 });
          throw error;
        }
        loses = false;
        throw Object.assign(new Error("14 UNAVAILABLE: the answer was lost by the test"), { code: 14 });
      },
      close: () => client.close(),
    }),
  };
}

function codeOf(error: unknown): number {
  return error instanceof Error && "code" in error ? Number(error.code) : Number.NaN;
}

/** Of a table of calls: how many, and how long the middle one and the 95th of a hundred took, ms. */
export function percentiles(tookMs: readonly number[]): string {
  const at = (share: number) => percentile(tookMs, share).toFixed(1);
  return `${tookMs.length} calls, p50 ${at(0.5)} ms, p95 ${at(0.95)} ms`;
}

/** @param share in [0, 1), e.g. 0.95 */
export function percentile(tookMs: readonly number[], share: number): number {
  const sorted = tookMs.toSorted((one, other) => one - other);
  return sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
}

function sum(one: Bill, other: Bill, sign = 1): Bill {
  return {
    reads: one.reads + sign * other.reads,
    writes: one.writes + sign * other.writes,
    deletes: one.deletes + sign * other.deletes,
    calls: one.calls + sign * other.calls,
    refused: one.refused + sign * other.refused,
  };
}
