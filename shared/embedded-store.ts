import { mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { LandfallError, messageOf } from "./errors.ts";

/** The one SQLite database that the embedded ledger and the inline bus of an installation share. */
export interface EmbeddedStore {
  /** An absolute path, or `:memory:`. */
  readonly path: string;
  readonly database: DatabaseSync;
  /**
   * Runs `act` as the only writer of the file, on disk when it returns. Nothing of it is kept when it throws,
   * or when `keep` says no to its result.
   */
  transaction<T>(act: () => T, keep?: (result: T) => boolean): T;
  /**
   * Runs one statement that does not wait for the disk. A killed process loses nothing, a power failure may undo it:
   * only for what is harmless to repeat.
   */
  relaxed<T>(act: () => T): T;
  close(): void;
}

/** The file cannot serve as a store: no SQLite database, somebody else's, from a newer Landfall, or no right to open it. */
class EmbeddedStoreError extends LandfallError {
  readonly code = "EMBEDDED_STORE";
  readonly retryable = false;
}

const memoryPath = ":memory:";

const busyTimeoutMs = 5_000;
/** "LFAL": tells our files from other SQLite databases. */
const applicationId = 0x4c46414c;

/** Each entry brings a file from the version of its index to the next; entries are only ever added. */
const migrations: readonly string[] = [
  `CREATE TABLE documents (
     collection TEXT NOT NULL,
     id TEXT NOT NULL,
     rev INTEGER NOT NULL,
     writer TEXT NOT NULL,
     data TEXT NOT NULL,
     due_ms REAL,
     target TEXT,
     state TEXT,
     workload TEXT,
     seq INTEGER,
     planned_ms REAL,
     repository TEXT,
     tag TEXT,
     heard_ms REAL,
     expire_ms REAL,
     UNIQUE (collection, id)
   ) STRICT;
   CREATE INDEX documents_due ON documents (due_ms) WHERE due_ms IS NOT NULL;
   CREATE INDEX documents_open ON documents (target, state, planned_ms) WHERE collection = 'workloads' AND state IS NOT NULL;
   CREATE INDEX documents_rollouts ON documents (planned_ms, seq) WHERE collection = 'rollouts';
   CREATE INDEX documents_history ON documents (workload, planned_ms, seq) WHERE collection = 'rollouts';
   CREATE INDEX documents_events ON documents (heard_ms) WHERE collection = 'events';
   CREATE INDEX documents_pushes ON documents (repository, heard_ms, tag) WHERE collection = 'events';
   CREATE INDEX documents_expiry ON documents (expire_ms) WHERE expire_ms IS NOT NULL;

   CREATE TABLE messages (
     seq INTEGER PRIMARY KEY AUTOINCREMENT,
     id TEXT NOT NULL UNIQUE,
     data TEXT NOT NULL,
     attributes TEXT NOT NULL,
     ordering_key TEXT,
     published_ms REAL NOT NULL,
     due_ms REAL NOT NULL,
     attempts INTEGER NOT NULL DEFAULT 0,
     claim TEXT
   ) STRICT;
   CREATE INDEX messages_due ON messages (due_ms, seq);
   CREATE INDEX messages_order ON messages (ordering_key, seq) WHERE ordering_key IS NOT NULL;
   CREATE TABLE dead_letters (
     seq INTEGER PRIMARY KEY AUTOINCREMENT,
     id TEXT NOT NULL UNIQUE,
     data TEXT NOT NULL,
     attributes TEXT NOT NULL,
     ordering_key TEXT,
     reason TEXT,
     dead_ms REAL NOT NULL
   ) STRICT;`,
];

/**
 * Opens the database, with its folder, and brings its tables up to date. Several processes may have one file open.
 * @param path a file on a local disk, or `:memory:`
 * @throws EmbeddedStoreError when the file cannot be used
 */
export function openEmbedded(path: string): EmbeddedStore {
  if (path === "") throw new EmbeddedStoreError("the ledger's file has no name");
  const location = path === memoryPath ? path : resolve(path);
  let database: DatabaseSync | undefined;
  try {
    if (location !== memoryPath) mkdirSync(dirname(location), { recursive: true });
    database = new DatabaseSync(location, { timeout: busyTimeoutMs });
    const store = storeOf(location, database);
    checkOwner(store);
    if (location !== memoryPath) useWriteAheadLog(store);
    database.exec("PRAGMA synchronous = FULL");
    migrate(store);
    return store;
  } catch (error) {
    if (database?.isOpen) database.close();
    if (error instanceof EmbeddedStoreError) throw error;
    throw new EmbeddedStoreError(`${location} cannot be used as a ledger: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** Runs `act`; what the database refuses for now is thrown as the error of the caller's port. */
export function asking<T>(
  act: () => T,
  unavailable: new (message: string, options: ErrorOptions) => LandfallError,
): T {
  try {
    return act();
  } catch (error) {
    if (!isUnavailable(error)) throw error;
    throw new unavailable(`the embedded store did not answer: ${messageOf(error)}`, { cause: error });
  }
}

function storeOf(path: string, database: DatabaseSync): EmbeddedStore {
  const begin = database.prepare("BEGIN IMMEDIATE");
  const commit = database.prepare("COMMIT");
  const rollback = database.prepare("ROLLBACK");
  return {
    path,
    database,
    transaction: (act, keep = () => true) => {
      begin.run();
      try {
        const result = act();
        (keep(result) ? commit : rollback).run();
        return result;
      } finally {
        // A COMMIT that failed on a full disk has already ended its transaction, one that was locked out has not.
        if (database.isOpen && database.isTransaction) rollback.run();
      }
    },
    relaxed: (act) => {
      database.exec("PRAGMA synchronous = NORMAL");
      try {
        return act();
      } finally {
        database.exec("PRAGMA synchronous = FULL");
      }
    },
    close: () => {
      if (database.isOpen) database.close();
    },
  };
}

function checkOwner({ path, database }: EmbeddedStore): void {
  const version = pragma(database, "user_version");
  const ours = pragma(database, "application_id") === applicationId;
  if (!ours && (version !== 0 || database.prepare("SELECT 1 FROM sqlite_schema").get() !== undefined)) {
    throw new EmbeddedStoreError(`${path} is a database of something else: name another file`);
  }
  if (Number(version) > migrations.length) {
    throw new EmbeddedStoreError(
      `${path} was written by a newer Landfall (version ${version}, this one reads up to ${migrations.length}): update Landfall`,
    );
  }
}

function migrate(store: EmbeddedStore): void {
  const { database } = store;
  if (pragma(database, "user_version") === migrations.length) return;
  store.transaction(() => {
    checkOwner(store); // another process may have been first
    for (const step of migrations.slice(Number(pragma(database, "user_version")))) database.exec(step);
    database.exec(`PRAGMA user_version = ${migrations.length}; PRAGMA application_id = ${applicationId}`);
  });
}

function useWriteAheadLog({ path, database }: EmbeddedStore): void {
  const deadline = performance.now() + busyTimeoutMs;
  while (pragma(database, "journal_mode") !== "wal") {
    try {
      if (pragma(database, "journal_mode = WAL") === "wal") return;
      throw new EmbeddedStoreError(`${path} must be on a local disk: SQLite cannot share it there`);
    } catch (error) {
      // Two processes that create the file together: SQLite gives up at once here, without its busy timeout.
      if (!isBusy(error) || performance.now() > deadline) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  }
}

function pragma(database: DatabaseSync, text: string): unknown {
  return Object.values(database.prepare(`PRAGMA ${text}`).get() ?? {})[0];
}

/** SQLite's primary result codes that say nothing about the statement: internal, memory, disk, locks, a damaged file. */
const unavailableCodes = new Set([2, 3, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 22, 26]);
const busyCodes = new Set([5, 6]);

function isUnavailable(error: unknown): boolean {
  // A closed database: only a call that outlived the shutdown meets it.
  if (error instanceof Error && "code" in error && error.code === "ERR_INVALID_STATE") return true;
  return unavailableCodes.has(resultCode(error));
}

function isBusy(error: unknown): boolean {
  return busyCodes.has(resultCode(error));
}

/** https://www.sqlite.org/rescode.html: the low byte of an extended result code is the primary one. */
function resultCode(error: unknown): number {
  return error instanceof Error && "errcode" in error ? Number(error.errcode) & 0xff : 0;
}
