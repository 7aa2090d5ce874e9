/**
 * Every query that the ledger makes. Firestore answers one only from an index that matches it exactly, and its emulator
 * does without: the adapter builds its queries from this table, and a test compares it with `infra/firestore.indexes.json`.
 */
export interface QueryShape {
  readonly collection: string;
  /** All collections of that name, wherever they are. */
  readonly group?: true;
  readonly where: readonly { readonly field: string; readonly is: "equal" | "one-of" | "at-most" }[];
  readonly order: readonly { readonly field: string; readonly direction: "ascending" | "descending" }[];
}

const equal = (field: string) => ({ field, is: "equal" }) as const;
const up = (field: string) => ({ field, direction: "ascending" }) as const;
const down = (field: string) => ({ field, direction: "descending" }) as const;

export const queries = {
  /** Workloads carry `dueMs` themselves; all else that is due has a marker in a collection of the same name. */
  due: {
    collection: "workloads",
    group: true,
    where: [{ field: "dueMs", is: "at-most" }],
    order: [up("dueMs")],
  },
  /** A count needs no order; with this one it shares the index of `planned`. */
  underWay: {
    collection: "workloads",
    where: [equal("target"), { field: "state", is: "one-of" }],
    order: [up("plannedMs")],
  },
  planned: {
    collection: "workloads",
    where: [equal("target"), equal("state")],
    order: [up("plannedMs")],
  },
  images: { collection: "images", where: [], order: [] },
  workloads: { collection: "workloads", where: [], order: [] },
  rollouts: { collection: "rollouts", where: [], order: [down("plannedMs"), down("seq")] },
  rolloutsOf: {
    collection: "rollouts",
    where: [equal("workload")],
    order: [down("plannedMs"), down("seq")],
  },
  events: { collection: "events", where: [], order: [down("heardMs")] },
  eventsTagged: { collection: "events", where: [equal("tag")], order: [down("heardMs")] },
  eventsOf: { collection: "events", where: [equal("repository")], order: [down("heardMs")] },
  eventsOfTag: {
    collection: "events",
    where: [equal("repository"), equal("tag")],
    order: [down("heardMs")],
  },
} as const satisfies Record<string, QueryShape>;
