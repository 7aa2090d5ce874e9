import { readFile } from "node:fs/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { fieldNames } from "../../shared/ledger/firestore/map.ts";
import { type QueryShape, queries } from "../../shared/ledger/firestore/queries.ts";

interface Field {
  readonly fieldPath: string;
  readonly order: "ASCENDING" | "DESCENDING";
}
interface Index {
  readonly collectionGroup: string;
  readonly queryScope: "COLLECTION" | "COLLECTION_GROUP";
  readonly fields: readonly Field[];
}
interface Override {
  readonly collectionGroup: string;
  readonly fieldPath: string;
  readonly ttl?: boolean;
  readonly indexes: readonly (Omit<Field, "fieldPath"> & Pick<Index, "queryScope">)[];
}
interface Declared {
  readonly indexes: readonly Index[];
  readonly fieldOverrides: readonly Override[];
}

let declared: Declared;
beforeAll(async () => {
  const file = new URL("../../infra/firestore.indexes.json", import.meta.url);
  declared = JSON.parse(await readFile(file, "utf8"));
});

const shapes = Object.entries(queries).map(([name, shape]) => ({ name, shape: shape as QueryShape }));

describe("the indexes that are declared for Firestore", () => {
  it.each(shapes.filter(({ shape }) => fieldsOf(shape).length > 0))(
    "answer the query `$name`",
    ({ shape }) => {
      expect(all().filter((index) => answers(index, shape))).toHaveLength(1);
    },
  );

  it("are each there for a query", () => {
    expect(shapes.length).toBeGreaterThan(5);
    const idle = all().filter((index) => !shapes.some(({ shape }) => answers(index, shape)));
    expect(idle).toEqual([]);
  });

  it("leave no field of a document with an index that nobody declared", () => {
    const stored = Object.entries(fieldNames).flatMap(([collection, names]) =>
      names.map((name) => `${collection}.${name}`),
    );
    const overridden = declared.fieldOverrides.map(
      ({ collectionGroup, fieldPath }) => `${collectionGroup}.${fieldPath}`,
    );
    expect(overridden.toSorted()).toEqual(stored.toSorted());
  });

  it("let Firestore delete what has expired, and nothing else", () => {
    const expiring = declared.fieldOverrides.filter(({ ttl }) => ttl === true);
    expect(expiring.every(({ fieldPath, indexes }) => fieldPath === "expireAt" && indexes.length === 0)).toBe(
      true,
    );
    const stored = Object.entries(fieldNames).filter(([, names]) =>
      names.some((name: string) => name === "expireAt"),
    );
    expect(stored.length).toBeGreaterThan(1);
    expect(expiring.map(({ collectionGroup }) => collectionGroup).toSorted()).toEqual(
      stored.map(([collection]) => collection).toSorted(),
    );
  });
});

/** Composite indexes and those of single fields. */
function all(): readonly Index[] {
  const single = declared.fieldOverrides.flatMap(({ collectionGroup, fieldPath, indexes }) =>
    indexes.map(({ order, queryScope }) => ({ collectionGroup, queryScope, fields: [{ fieldPath, order }] })),
  );
  return [...declared.indexes, ...single];
}

/**
 * An index answers a query when it has the fields that are compared for equality first, in any order, then those that
 * it is sorted by, and no other: https://cloud.google.com/firestore/docs/query-data/index-overview
 */
function answers(index: Index, shape: QueryShape): boolean {
  const { equal, order } = partsOf(shape);
  const first = index.fields.slice(0, equal.length).map(({ fieldPath }) => fieldPath);
  const rest = index.fields.slice(equal.length).map((field) => `${field.fieldPath} ${field.order}`);
  return (
    index.collectionGroup === shape.collection &&
    index.queryScope === (shape.group ? "COLLECTION_GROUP" : "COLLECTION") &&
    first.toSorted().join() === equal.toSorted().join() &&
    rest.join() === order.join()
  );
}

function partsOf({ where, order }: QueryShape) {
  const range = where.find(({ is }) => is === "at-most");
  // Firestore sorts by the field of a range first; here that is what the query asks for.
  if (range !== undefined) expect(order[0]?.field).toBe(range.field);
  return {
    equal: where.filter(({ is }) => is !== "at-most").map(({ field }) => field),
    order: order.map(({ field, direction }) => `${field} ${direction.toUpperCase()}`),
  };
}

function fieldsOf({ where, order }: QueryShape): readonly string[] {
  return [...where, ...order].map(({ field }) => field);
}
