import * as z from "zod/mini";
import type { QueryShape } from "./queries.ts";

/** Field values and documents as https://cloud.google.com/firestore/docs/reference/rpc/google.firestore.v1 has them. */
const Time = z.object({ seconds: z.union([z.string(), z.number()]), nanos: z.number() });
type Time = z.infer<typeof Time>;

export type Value =
  | { readonly stringValue: string }
  | { readonly integerValue: string }
  | { readonly doubleValue: number }
  | { readonly timestampValue: Time }
  | { readonly arrayValue: { readonly values: Value[] } };
export type Fields = Readonly<Record<string, Value>>;

/** When a document was last written, in microseconds: what its next write is conditional on. */
export type Version = Time;

const text = z.object({ stringValue: z.string() });
const whole = z.object({ integerValue: z.union([z.string(), z.number()]) });

/** What the ledger reads back of a document; what is queried beside it is in `data` too. */
export const StoredFields = z.object({ id: text, rev: whole, writer: text, data: text });

export const WireDocument = z.object({
  name: z.string(),
  fields: z.record(z.string(), z.unknown()),
  updateTime: Time,
});

/** An answer of BatchGetDocuments or RunQuery; one without a document tells the time only. */
export const WireAnswer = z.object({
  document: z.nullish(WireDocument),
  found: z.nullish(WireDocument),
  readTime: z.nullish(Time),
});

export const WireCount = z.object({ result: z.object({ aggregateFields: z.record(z.string(), whole) }) });

export const WireCommit = z.object({
  writeResults: z.array(z.object({ updateTime: z.nullish(Time) })),
  commitTime: Time,
});

/** A document that is there. */
export interface Found {
  /** Below the database, e.g. `refs/docker.io%2Facme%2Fweb%3Av1`. */
  readonly path: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly version: Version;
}

/** One document's part in a commit; all of a commit's parts happen or none. */
export type Change =
  | { readonly kind: "create"; readonly path: string; readonly fields: Fields }
  | { readonly kind: "replace"; readonly path: string; readonly fields: Fields; readonly version: Version }
  /** Nothing is written; the commit depends on it all the same. */
  | { readonly kind: "check"; readonly path: string; readonly version: Version | undefined }
  | { readonly kind: "put"; readonly path: string; readonly fields: Fields }
  | { readonly kind: "delete"; readonly path: string; readonly version?: Version };

/** A query of the table, with a value for each of its conditions. */
export interface Query {
  readonly shape: QueryShape;
  readonly values: readonly Value[];
  /** Documents between these two paths, by their paths: without any other order. */
  readonly between?: { readonly after: string; readonly before: string };
  readonly limit?: number;
}

/**
 * What the ledger asks of Firestore. Calls end within `timeoutMs` and are never repeated by themselves; they reject with
 * the status code that gRPC gave as `code`.
 */
export interface FirestoreClient {
  /** Documents in the order of their paths, and the server's time of the reading. */
  read(
    paths: readonly string[],
    timeoutMs: number,
  ): Promise<{ readonly documents: readonly (Found | undefined)[]; readonly atMs: number | undefined }>;
  /** The new version of each document that was changed, in order, and the server's time of the commit. */
  commit(
    changes: readonly Change[],
    timeoutMs: number,
  ): Promise<{ readonly versions: readonly Version[]; readonly atMs: number }>;
  query(
    query: Query,
    timeoutMs: number,
  ): Promise<{ readonly documents: readonly Found[]; readonly atMs: number | undefined }>;
  count(query: Query, timeoutMs: number): Promise<number>;
  /** Calls under way fail. */
  close(): Promise<void>;
}

export function msOf({ seconds, nanos }: Time): number {
  return Number(seconds) * 1_000 + Math.floor(nanos / 1_000_000);
}

export function timeOf(ms: number): Time {
  const seconds = Math.floor(ms / 1_000);
  return { seconds: String(seconds), nanos: Math.floor((ms - seconds * 1_000) * 1_000_000) };
}

export function string(value: string): Value {
  return { stringValue: value };
}

export function number(value: number): Value {
  return Number.isSafeInteger(value) ? { integerValue: String(value) } : { doubleValue: value };
}
