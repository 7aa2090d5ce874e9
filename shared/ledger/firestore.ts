import { type FirestoreDocuments, firestoreDocuments } from "./firestore/documents.ts";
import { storedOf } from "./firestore/map.ts";
import { markedBy, pathOf } from "./firestore/paths.ts";
import { queries } from "./firestore/queries.ts";
import { firestoreStore, type Store, type StoreOptions } from "./firestore/store.ts";
import { type Found, number, type Query, string, type Value } from "./firestore/wire.ts";
import type { Collection, Due, Ledger, Stored } from "./ledger.ts";

const underWayStates: Value = { arrayValue: { values: [string("applying"), string("verifying")] } };

/**
 * The ledger in Firestore, for any number of processes. Nothing is asked, and no library loaded, before the first use.
 * There are no transactions in it: contended ones wait for each other's locks.
 *
 * Beside the errors of every ledger its methods throw LedgerDeniedError (retryable) when a role, the database or an
 * index is missing.
 */
export function firestoreLedger(options: StoreOptions): Ledger {
  const store = firestoreStore(options);
  const documents = firestoreDocuments(store);

  async function list<C extends Collection>(query: Query): Promise<readonly Stored<C>[]> {
    return (await store.query(query)).map((found) => storedOf<C>(found));
  }

  return {
    get: async (collection, id) => (await documents.read([{ collection, path: pathOf(collection, id) }]))[0],

    commit: documents.commit,

    due: async (nowMs, limit) => {
      const found = await store.query({ shape: queries.due, values: [number(nowMs)], limit });
      return loadDue(store, documents, found, nowMs);
    },

    underWay: (target) => store.count({ shape: queries.underWay, values: [string(target), underWayStates] }),

    planned: async (target, limit) => {
      const found = await store.query({
        shape: queries.planned,
        values: [string(target), string("planned")],
        limit,
      });
      return found.map((each) => documents.seen("workloads", each));
    },

    images: async () => byId(await list<"images">({ shape: queries.images, values: [] })),

    workloads: async () => byId(await list<"workloads">({ shape: queries.workloads, values: [] })),

    workloadsOf: async (target, { after, limit }) => {
      const within = pathOf("workloads", `${target}/`);
      const between = {
        after: after === undefined ? within : pathOf("workloads", after),
        before: `${within}${lastCharacter}`,
      };
      const found = await store.query({ shape: queries.workloads, values: [], between, limit });
      return found.map((each) => documents.seen("workloads", each));
    },

    rollouts: ({ workload }, limit) =>
      workload === undefined
        ? list({ shape: queries.rollouts, values: [], limit })
        : list({ shape: queries.rolloutsOf, values: [string(workload)], limit }),

    events: async ({ repository, tag, nowMs }, limit) => {
      const shape =
        repository === undefined
          ? queries[tag === undefined ? "events" : "eventsTagged"]
          : queries[tag === undefined ? "eventsOf" : "eventsOfTag"];
      const values = [repository, tag].flatMap((value) => (value === undefined ? [] : [string(value)]));
      // Firestore deletes what has expired within a day or so: until then it is read, and left out here.
      for (let size = limit; ; size *= 4) {
        const found = await list<"events">({ shape, values, limit: size });
        const live = found.filter(({ value }) => value.expireMs > nowMs).slice(0, limit);
        if (live.length === limit || found.length < size) return live;
      }
    },

    clock: async () => store.now(),

    close: () => store.close(),
  };
}

/** Above everything that stands in an encoded id. */
const lastCharacter = "\uf8ff";

/** Firestore's own order is that of encoded ids. */
function byId<C extends Collection>(documents: readonly Stored<C>[]): readonly Stored<C>[] {
  return documents.toSorted((one, other) => (one.id < other.id ? -1 : 1));
}

/** One query finds workloads themselves and the markers of all else; marked documents are read, all at once. */
async function loadDue(
  store: Store,
  documents: FirestoreDocuments,
  found: readonly Found[],
  nowMs: number,
): Promise<readonly Due[]> {
  const marked = found.flatMap((marker) => {
    const place = markedBy(marker.path);
    return place === undefined ? [] : [{ ...place, marker }];
  });
  const loaded = await documents.read(marked);
  const due: { readonly dueMs: number; readonly due: Due }[] = [];
  for (const each of found) {
    if (!/^workloads\/[^/]+$/.test(each.path)) continue;
    const document = documents.seen("workloads", each);
    const { open, dueMs = 0 } = document.value;
    due.push({ dueMs: open?.dueMs ?? dueMs, due: { collection: "workloads", document } });
  }
  for (const [n, { collection, marker }] of marked.entries()) {
    const document = loaded[n];
    const dueMs = document?.value.dueMs;
    if (document === undefined || dueMs === undefined) {
      // Its document was deleted by hand or by age, or has been finished since; then the marker is gone or another one.
      await store.commit([{ kind: "delete", path: marker.path, version: marker.version }]);
    } else if (dueMs <= nowMs) due.push({ dueMs, due: { collection, document } as Due });
  }
  return due.toSorted((one, other) => one.dueMs - other.dueMs).map((each) => each.due);
}
