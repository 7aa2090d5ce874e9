import type { SQLInputValue, StatementSync } from "node:sqlite";
import type { Clock } from "../clock.ts";
import { asking, type EmbeddedStore, openEmbedded } from "../embedded-store.ts";
import { DocumentTooLargeError, LedgerUnavailableError } from "../errors.ts";
import {
  type Collection,
  type CommitOutcome,
  type Due,
  imageOf,
  type Ledger,
  maxDocumentBytes,
  type Stored,
  type Write,
} from "./ledger.ts";

/** Expired events are deleted on the first write of an event and then on each 256th, at most 500 at a time. */
const sweepEvery = 256;
const sweepLimit = 500;

/** What is queried of a document, beside its id. */
const columnNames = [
  "due_ms",
  "target",
  "state",
  "workload",
  "seq",
  "planned_ms",
  "repository",
  "tag",
  "heard_ms",
  "expire_ms",
] as const;
type Columns = Partial<Record<(typeof columnNames)[number], string | number | null>>;
const noColumns: Columns = Object.fromEntries(columnNames.map((name) => [name, null]));

interface Row {
  readonly collection: Collection;
  readonly id: string;
  readonly rev: number;
  readonly writer: string;
  readonly data: string;
}

/**
 * The ledger in a SQLite file that several processes may share.
 * @param where a path, which is opened here and closed with the ledger, or a store that its opener closes
 */
export function embeddedLedger(where: EmbeddedStore | string, clock: Clock): Ledger {
  const store = typeof where === "string" ? openEmbedded(where) : where;
  const statements = prepare(store);
  let eventWrites = 0;

  const ask = async <T>(act: () => T): Promise<T> => asking(act, LedgerUnavailableError);
  const list = <C extends Collection>(statement: StatementSync, parameters: Record<string, SQLInputValue>) =>
    ask(() => rowsOf(statement.all(parameters)).map((row) => stored<C>(row)));

  return {
    get: <C extends Collection>(collection: C, id: string) =>
      ask(() => {
        const [row] = rowsOf(statements.get.all(collection, id));
        return row === undefined ? undefined : stored<C>(row);
      }),

    commit: (writer, writes, checks = []) =>
      ask(() => {
        if (writes.length === 0) return { kind: "committed" };
        const rows = writes.map((write) => ({ ...rowOf(write), writer }));
        const sweeps =
          writes.some(({ collection }) => collection === "events") && eventWrites++ % sweepEvery === 0;
        return store.transaction<CommitOutcome>(
          () => {
            for (const { collection, id, expect } of checks) {
              const [stored] = rowsOf(statements.get.all(collection, id));
              if ((stored?.rev ?? 0) !== expect) return { kind: "conflict", collection, id };
            }
            for (const row of rows) {
              const { changes } = (row.expect === 0 ? statements.create : statements.replace).run(row);
              if (changes === 0) return { kind: "conflict", collection: row.collection, id: row.id };
            }
            if (sweeps) statements.sweep.run(clock.now(), sweepLimit);
            return { kind: "committed" };
          },
          (outcome) => outcome.kind === "committed",
        );
      }),

    due: (nowMs, limit) => ask(() => rowsOf(statements.due.all(nowMs, limit)).map(dueOf)),

    underWay: (target) => ask(() => Number(statements.underWay.get(target)?.count)),

    planned: (target, limit) => list<"workloads">(statements.planned, { target, limit }),

    images: () => list<"images">(statements.images, {}),

    workloads: () => list<"workloads">(statements.workloads, {}),

    workloadsOf: (target, { after = `${target}/`, limit }) =>
      // `0` is what follows `/`.
      list<"workloads">(statements.workloadsOf, { after, before: `${target}0`, limit }),

    rollouts: ({ workload }, limit) =>
      workload === undefined
        ? list<"rollouts">(statements.rollouts, { limit })
        : list<"rollouts">(statements.rolloutsOf, { workload, limit }),

    events: ({ repository, tag, nowMs }, limit) => {
      const filter = { nowMs, limit, ...(tag === undefined ? {} : { tag }) };
      if (repository === undefined) {
        return list<"events">(tag === undefined ? statements.events : statements.eventsTagged, filter);
      }
      const statement = tag === undefined ? statements.eventsOf : statements.eventsOfTag;
      return list<"events">(statement, { ...filter, repository });
    },

    clock: async () => clock.now(),

    close: async () => {
      if (typeof where === "string") store.close();
    },
  };
}

function prepare({ database }: EmbeddedStore) {
  // Left to itself, SQLite reads a whole collection and sorts it.
  const events = (index: string, condition: string) =>
    database.prepare(
      `SELECT * FROM documents INDEXED BY ${index}
       WHERE collection = 'events' AND expire_ms > :nowMs ${condition}
       ORDER BY heard_ms DESC, rowid DESC LIMIT :limit`,
    );
  const create = database.prepare(
    `INSERT INTO documents (collection, id, rev, writer, data, ${columnNames.join(", ")})
     VALUES (:collection, :id, :expect + 1, :writer, :data, ${columnNames.map((name) => `:${name}`).join(", ")})
     ON CONFLICT DO NOTHING`,
  );
  return {
    create,
    replace: database.prepare(
      `UPDATE documents SET rev = rev + 1, writer = :writer, data = :data,
         ${columnNames.map((name) => `${name} = :${name}`).join(", ")}
       WHERE collection = :collection AND id = :id AND rev = :expect`,
    ),
    get: database.prepare("SELECT * FROM documents WHERE collection = ? AND id = ?"),
    sweep: database.prepare(
      "DELETE FROM documents WHERE rowid IN (SELECT rowid FROM documents WHERE expire_ms <= ? LIMIT ?)",
    ),
    due: database.prepare("SELECT * FROM documents WHERE due_ms <= ? ORDER BY due_ms, rowid LIMIT ?"),
    underWay: database.prepare(
      `SELECT count(*) AS count FROM documents
       WHERE collection = 'workloads' AND target = ? AND state IN ('applying', 'verifying')`,
    ),
    planned: database.prepare(
      `SELECT * FROM documents WHERE collection = 'workloads' AND target = :target AND state = 'planned'
       ORDER BY planned_ms, rowid LIMIT :limit`,
    ),
    images: database.prepare("SELECT * FROM documents WHERE collection = 'images' ORDER BY id"),
    workloads: database.prepare("SELECT * FROM documents WHERE collection = 'workloads' ORDER BY id"),
    workloadsOf: database.prepare(
      `SELECT * FROM documents WHERE collection = 'workloads' AND id > :after AND id < :before
       ORDER BY id LIMIT :limit`,
    ),
    rollouts: database.prepare(
      `SELECT * FROM documents INDEXED BY documents_rollouts WHERE collection = 'rollouts'
       ORDER BY planned_ms DESC, seq DESC LIMIT :limit`,
    ),
    rolloutsOf: database.prepare(
      `SELECT * FROM documents WHERE collection = 'rollouts' AND workload = :workload
       ORDER BY planned_ms DESC, seq DESC LIMIT :limit`,
    ),
    events: events("documents_events", ""),
    eventsTagged: events("documents_events", "AND tag = :tag"),
    eventsOf: events("documents_pushes", "AND repository = :repository"),
    eventsOfTag: events("documents_pushes", "AND repository = :repository AND tag = :tag"),
  };
}

/**
 * What a write stores, named as in the statements.
 * @throws DocumentTooLargeError
 */
function rowOf(write: Write) {
  const { collection, id, expect } = write;
  const data = JSON.stringify(write.value);
  const bytes = Buffer.byteLength(data);
  if (bytes > maxDocumentBytes) {
    throw new DocumentTooLargeError(
      `${collection} ${id} would have ${bytes} bytes, ${maxDocumentBytes} are allowed`,
    );
  }
  return { ...noColumns, ...columnsOf(write), collection, id, expect, data };
}

function columnsOf(write: Write): Columns {
  switch (write.collection) {
    case "reports":
      return { expire_ms: write.value.expireMs };
    case "leases":
      return {};
    case "refs":
    case "images":
      return { due_ms: write.value.dueMs ?? null };
    case "notices":
    case "letters":
      return { due_ms: write.value.dueMs ?? null, expire_ms: write.value.expireMs };
    case "workloads": {
      const { target, open, dueMs } = write.value;
      if (open === undefined) return { target, due_ms: dueMs ?? null };
      return { target, state: open.state, planned_ms: open.times.planned, due_ms: open.dueMs };
    }
    case "rollouts": {
      const { workload, seq, times } = write.value;
      return { workload, seq, planned_ms: times.planned };
    }
    case "events": {
      const { heardMs, dueMs, expireMs } = write.value;
      const image = imageOf(write.value);
      return {
        ...(image === undefined ? {} : { repository: image.repository, tag: image.tag ?? null }),
        heard_ms: heardMs,
        due_ms: dueMs ?? null,
        expire_ms: expireMs,
      };
    }
    default:
      return write satisfies never;
  }
}

function rowsOf(rows: readonly unknown[]): readonly Row[] {
  return rows as readonly Row[];
}

function stored<C extends Collection>({ id, rev, writer, data }: Row): Stored<C> {
  return { id, rev, writer, value: JSON.parse(data) };
}

function dueOf(row: Row): Due {
  switch (row.collection) {
    case "refs":
      return { collection: "refs", document: stored(row) };
    case "images":
      return { collection: "images", document: stored(row) };
    case "workloads":
      return { collection: "workloads", document: stored(row) };
    case "events":
      return { collection: "events", document: stored(row) };
    case "notices":
      return { collection: "notices", document: stored(row) };
    case "letters":
      return { collection: "letters", document: stored(row) };
    default:
      throw new TypeError(`${row.collection} are never due`);
  }
}
