import firestore from "@google-cloud/firestore";
import { PassThroughClient } from "google-auth-library";
import { type CallOptions, grpc } from "google-gax";
import type * as z from "zod/mini";
import type { FirestoreSetting } from "../config.ts";
import type { QueryShape } from "./queries.ts";
import {
  type Change,
  type FirestoreClient,
  type Found,
  msOf,
  type Query,
  WireAnswer,
  WireCommit,
  WireCount,
  type WireDocument,
} from "./wire.ts";

/**
 * Firestore by gRPC. Loading this file costs 100 ms and more: only by `import()`, at the first use.
 *
 * It is the generated client and not the `Firestore` class above it, which repeats a commit by itself for up to ten
 * minutes whatever the caller's deadline, and cannot be closed meanwhile.
 */
export async function firestoreClient(options: FirestoreSetting): Promise<FirestoreClient> {
  const { databaseId = "(default)", emulatorHost } = options;
  const client = new firestore.v1.FirestoreClient({
    ...(options.projectId === undefined ? {} : { projectId: options.projectId }),
    ...(emulatorHost === undefined ? {} : emulator(emulatorHost)),
    fallback: false,
  });
  // Credentials are looked for here: failing in a call, they would end the process, and be looked for no more.
  await client.initialize();
  const projectId = options.projectId ?? (await client.getProjectId());
  const database = `projects/${projectId}/databases/${databaseId}`;
  const parent = `${database}/documents`;
  const headers = {
    "google-cloud-resource-prefix": database,
    // The emulator takes a caller without this for an end user, who has no rights here.
    ...(emulatorHost === undefined ? {} : { authorization: "Bearer owner" }),
  };
  const call = (timeoutMs: number): CallOptions => ({
    timeout: timeoutMs,
    retry: { retryCodes: [] },
    otherArgs: { headers },
  });
  const nameOf = (path: string) => `${parent}/${path}`;
  const foundOf = ({ name, fields, updateTime }: z.infer<typeof WireDocument>): Found => ({
    path: name.slice(parent.length + 1),
    fields,
    version: updateTime,
  });

  return {
    read: async (paths, timeoutMs) => {
      const found = new Map<string, Found>();
      let atMs: number | undefined;
      for await (const message of client.batchGetDocuments(
        { database, documents: paths.map(nameOf) },
        call(timeoutMs),
      )) {
        const answer = WireAnswer.parse(message);
        if (answer.readTime) atMs = msOf(answer.readTime);
        if (!answer.found) continue;
        const document = foundOf(answer.found);
        found.set(document.path, document);
      }
      return { documents: paths.map((path) => found.get(path)), atMs };
    },

    commit: async (changes, timeoutMs) => {
      const writes = changes.map((change) => writeOf(change, nameOf(change.path)));
      const [answer] = await client.commit({ database, writes }, call(timeoutMs));
      const { writeResults, commitTime } = WireCommit.parse(answer);
      return {
        versions: changes.map((_, n) => writeResults[n]?.updateTime ?? commitTime),
        atMs: msOf(commitTime),
      };
    },

    query: async (query, timeoutMs) => {
      const documents: Found[] = [];
      let atMs: number | undefined;
      const request = { parent, structuredQuery: structured(query, nameOf) };
      for await (const message of client.runQuery(request, call(timeoutMs))) {
        const { document, readTime } = WireAnswer.parse(message);
        if (readTime) atMs = msOf(readTime);
        if (document) documents.push(foundOf(document));
      }
      return { documents, atMs };
    },

    count: async (query, timeoutMs) => {
      const structuredAggregationQuery = {
        structuredQuery: structured(query, nameOf),
        aggregations: [{ alias: "count", count: {} }],
      };
      let count = 0;
      for await (const message of client.runAggregationQuery(
        { parent, structuredAggregationQuery },
        call(timeoutMs),
      )) {
        count += Number(WireCount.parse(message).result.aggregateFields.count?.integerValue ?? 0);
      }
      return count;
    },

    close: () => client.close(),
  };
}

function emulator(host: string) {
  const { hostname, port } = new URL(`http://${host}`);
  return {
    servicePath: hostname,
    port: Number(port),
    sslCreds: grpc.credentials.createInsecure(),
    authClient: new PassThroughClient(),
  };
}

function writeOf(change: Change, name: string) {
  switch (change.kind) {
    case "create":
      return { update: { name, fields: change.fields }, currentDocument: { exists: false } };
    case "replace":
      return { update: { name, fields: change.fields }, currentDocument: { updateTime: change.version } };
    case "check":
      // Under an empty mask an update changes no field, and a document whose fields do not change keeps its version.
      return change.version === undefined
        ? { delete: name, currentDocument: { exists: false } }
        : {
            update: { name },
            updateMask: { fieldPaths: [] },
            currentDocument: { updateTime: change.version },
          };
    case "put":
      return { update: { name, fields: change.fields } };
    case "delete":
      return {
        delete: name,
        ...(change.version === undefined ? {} : { currentDocument: { updateTime: change.version } }),
      };
    default:
      return change satisfies never;
  }
}

const operators = {
  equal: "EQUAL",
  "one-of": "IN",
  "at-most": "LESS_THAN_OR_EQUAL",
} as const satisfies Record<QueryShape["where"][number]["is"], string>;

const byPath = { field: "__name__", direction: "ascending" } as const;

function structured({ shape, values, between, limit }: Query, nameOf: (path: string) => string) {
  const filters = shape.where.map(({ field, is }, n) => ({
    fieldFilter: { field: { fieldPath: field }, op: operators[is], value: values[n] ?? null },
  }));
  return {
    from: [{ collectionId: shape.collection, allDescendants: shape.group ?? false }],
    ...(filters.length === 0 ? {} : { where: { compositeFilter: { op: "AND" as const, filters } } }),
    orderBy: [...shape.order, ...(between === undefined ? [] : [byPath])].map(({ field, direction }) => ({
      field: { fieldPath: field },
      direction: direction === "ascending" ? ("ASCENDING" as const) : ("DESCENDING" as const),
    })),
    ...(between === undefined
      ? {}
      : {
          startAt: { values: [{ referenceValue: nameOf(between.after) }], before: false },
          endAt: { values: [{ referenceValue: nameOf(between.before) }], before: true },
        }),
    ...(limit === undefined ? {} : { limit: { value: limit } }),
  };
}
