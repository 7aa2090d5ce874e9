import type { Clock } from "../../clock.ts";
import { LedgerUnavailableError } from "../../errors.ts";
import type { FirestoreSetting } from "../config.ts";
import { failureOf, isConflict, repeated, within } from "./failures.ts";
import { serverClock } from "./server-clock.ts";
import type { Change, FirestoreClient, Found, Query, Version } from "./wire.ts";

export interface StoreOptions extends FirestoreSetting {
  readonly clock: Clock;
  /** What speaks to Firestore; default the Google client. */
  readonly open?: () => Promise<FirestoreClient>;
  /** In [0, 1): spreads repetitions. */
  readonly random?: () => number;
}

/** Firestore with deadlines, repetitions where they are safe, the project's own errors, and a clock. */
export interface Store {
  read(paths: readonly string[]): Promise<readonly (Found | undefined)[]>;
  query(query: Query): Promise<readonly Found[]>;
  count(query: Query): Promise<number>;
  /** @returns the new version of each document; `undefined`: refused, one of them is not as expected */
  commit(changes: readonly Change[]): Promise<readonly Version[] | undefined>;
  /** The server's time, ms since the epoch. */
  now(): number;
  close(): Promise<void>;
}

export function firestoreStore(options: StoreOptions): Store {
  const { clock, random = Math.random } = options;
  const server = serverClock(clock);
  let opened: Promise<FirestoreClient> | undefined;
  let closed = false;

  async function client(): Promise<FirestoreClient> {
    if (closed) throw new LedgerUnavailableError("the ledger is closed");
    if (opened === undefined) {
      const opening =
        options.open?.() ?? import("./client.ts").then((loaded) => loaded.firestoreClient(options));
      opening.catch(() => {
        if (opened === opening) opened = undefined;
      });
      opened = opening;
    }
    return opened;
  }

  async function reading<T>(act: (client: FirestoreClient, timeoutMs: number) => Promise<T>): Promise<T> {
    try {
      return await within(clock, random, repeated.reading, async (timeoutMs) =>
        act(await client(), timeoutMs),
      );
    } catch (error) {
      throw failureOf(error);
    }
  }

  return {
    read: async (paths) => {
      const { documents, atMs } = await reading((at, timeoutMs) => at.read(paths, timeoutMs));
      if (atMs !== undefined) server.heard(atMs);
      return documents;
    },
    query: async (query) => {
      const { documents, atMs } = await reading((at, timeoutMs) => at.query(query, timeoutMs));
      if (atMs !== undefined) server.heard(atMs);
      return documents;
    },
    count: (query) => reading((at, timeoutMs) => at.count(query, timeoutMs)),
    commit: async (changes) => {
      try {
        return await within(clock, random, repeated.commit, async (timeoutMs) => {
          const at = await client();
          const sentMs = clock.now();
          const answer = await at.commit(changes, timeoutMs);
          server.heard(answer.atMs, sentMs);
          return answer.versions;
        });
      } catch (error) {
        if (isConflict(error)) return undefined;
        throw failureOf(error);
      }
    },
    now: () => server.now(),
    close: async () => {
      closed = true;
      // What could not be opened has nothing to close: the library throws its reason once more.
      await opened?.then((open) => open.close()).catch(() => {});
    },
  };
}
