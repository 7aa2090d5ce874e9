import type { Check, Collection, CommitOutcome, Stored, Write } from "../ledger.ts";
import { fieldsOf, markedMs, storedOf } from "./map.ts";
import { markerOf, pathOf } from "./paths.ts";
import type { Store } from "./store.ts";
import { versions } from "./versions.ts";
import { type Change, type Fields, type Found, number } from "./wire.ts";

/** Versions that an instance remembers: more than it has in hand at once. */
const maxVersions = 4_096;

/** Where a document is. */
interface Place<C extends Collection = Collection> {
  readonly collection: C;
  readonly path: string;
}

/** Compare-and-set by `rev` on a store that compares versions. */
export interface FirestoreDocuments {
  read<C extends Collection>(places: readonly Place<C>[]): Promise<readonly (Stored<C> | undefined)[]>;
  /** The document that a query found; a write of it needs no reading then. */
  seen<C extends Collection>(collection: C, found: Found): Stored<C>;
  commit(writer: string, writes: readonly Write[], checks?: readonly Check[]): Promise<CommitOutcome>;
}

/** A document that a commit depends on. */
interface Expected extends Place {
  readonly id: string;
  readonly expect: number;
}

interface Entry extends Expected {
  readonly write: Write;
  readonly fields: Fields;
}

/**
 * A write is conditional on the version that Firestore gave the document when its `rev` was read or written by this
 * process; where neither happened here, the document is read first. A version stands for one `rev` only, so whoever wrote
 * in between makes the commit fail, in whatever process.
 */
export function firestoreDocuments(store: Store): FirestoreDocuments {
  const known = versions(maxVersions);

  function seen<C extends Collection>(collection: C, found: Found): Stored<C> {
    const stored = storedOf<C>(found);
    const marked = markedMs(collection, stored.value);
    known.remember(found.path, stored.rev, { version: found.version, markedMs: marked });
    return stored;
  }

  async function read<C extends Collection>(
    places: readonly Place<C>[],
  ): Promise<readonly (Stored<C> | undefined)[]> {
    if (places.length === 0) return [];
    const documents = await store.read(places.map(({ path }) => path));
    return places.map(({ collection }, n) => {
      const found = documents[n];
      return found === undefined ? undefined : seen(collection, found);
    });
  }

  /** Names the first document that is not as expected. Whose a write was is for the caller to see: no commit is repeated here. */
  async function conflict(expected: readonly [Expected, ...Expected[]]): Promise<CommitOutcome> {
    for (const { path, expect } of expected) known.forget(path, expect);
    const [first] = expected;
    const stored = expected.length === 1 ? [] : await read(expected);
    const { collection, id } = expected.find(({ expect }, n) => (stored[n]?.rev ?? 0) !== expect) ?? first;
    return { kind: "conflict", collection, id };
  }

  /** @returns `undefined` when a document is known not to be at the `rev` that is expected */
  function changesOf(entries: readonly Entry[]): readonly Change[] | undefined {
    const changes: Change[] = [];
    const markers: Change[] = [];
    for (const { path, write, fields } of entries) {
      const before = known.at(path, write.expect);
      if (write.expect === 0) changes.push({ kind: "create", path, fields });
      else if (before === undefined) return undefined;
      else changes.push({ kind: "replace", path, fields, version: before.version });
      const dueMs = markedMs(write.collection, write.value);
      if (dueMs === before?.markedMs) continue;
      const marker = markerOf(path);
      if (dueMs === undefined) markers.push({ kind: "delete", path: marker });
      else markers.push({ kind: "put", path: marker, fields: { dueMs: number(dueMs) } });
    }
    return [...changes, ...markers];
  }

  /** @returns `undefined` when a document is known not to be at the `rev` that is expected */
  function dependingOn(checked: readonly Expected[]): readonly Change[] | undefined {
    const depending: Change[] = [];
    for (const { path, expect } of checked) {
      const version = known.at(path, expect)?.version;
      if (expect > 0 && version === undefined) return undefined;
      depending.push({ kind: "check", path, version });
    }
    return depending;
  }

  return {
    read,
    seen,
    commit: async (writer, writes, checks = []) => {
      const [first, ...rest] = writes.map((write): Entry => {
        const { collection, id, expect } = write;
        return {
          collection,
          id,
          expect,
          path: pathOf(collection, id),
          write,
          fields: fieldsOf(write, writer),
        };
      });
      if (first === undefined) return { kind: "committed" };
      const entries = [first, ...rest] as const;
      const checked = checks.map(
        (check): Expected => ({ ...check, path: pathOf(check.collection, check.id) }),
      );
      const expected = [...entries, ...checked] as const;
      await read(expected.filter(({ path, expect }) => expect > 0 && !known.at(path, expect)));
      const changes = changesOf(entries);
      const depending = dependingOn(checked);
      const written =
        changes === undefined || depending === undefined
          ? undefined
          : await store.commit([...changes, ...depending]);
      if (written === undefined) return conflict(expected);
      for (const [n, { path, write }] of entries.entries()) {
        const version = written[n];
        known.forget(path, write.expect);
        if (version === undefined) continue;
        const marked = markedMs(write.collection, write.value);
        known.remember(path, write.expect + 1, { version, markedMs: marked });
      }
      return { kind: "committed" };
    },
  };
}
