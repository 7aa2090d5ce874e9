import { DocumentTooLargeError, LedgerDeniedError } from "../../errors.ts";
import {
  type Collection,
  type Documents,
  imageOf,
  maxDocumentBytes,
  type Stored,
  type Write,
} from "../ledger.ts";
import { type Fields, type Found, number, StoredFields, string, timeOf, type Value } from "./wire.ts";

/**
 * What a write stores: the document as JSON in one field, so that it comes back as it was, and beside it what is queried.
 * @throws DocumentTooLargeError
 */
export function fieldsOf(write: Write, writer: string): Fields {
  const { collection, id, expect } = write;
  const data = JSON.stringify(write.value);
  const bytes = Buffer.byteLength(data);
  if (bytes > maxDocumentBytes) {
    throw new DocumentTooLargeError(
      `${collection} ${id} would have ${bytes} bytes, ${maxDocumentBytes} are allowed`,
    );
  }
  return {
    id: string(id),
    rev: number(expect + 1),
    writer: string(writer),
    data: string(data),
    ...queriedOf(write),
  };
}

/** Fields by collection; each has an index or an exemption in `infra/firestore.indexes.json`. */
export const fieldNames = {
  refs: ["id", "rev", "writer", "data"],
  images: ["id", "rev", "writer", "data"],
  workloads: ["id", "rev", "writer", "data", "target", "state", "plannedMs", "dueMs"],
  rollouts: ["id", "rev", "writer", "data", "workload", "seq", "plannedMs"],
  events: ["id", "rev", "writer", "data", "repository", "tag", "heardMs", "expireAt"],
  reports: ["id", "rev", "writer", "data", "expireAt"],
  leases: ["id", "rev", "writer", "data"],
  notices: ["id", "rev", "writer", "data", "expireAt"],
  letters: ["id", "rev", "writer", "data", "expireAt"],
} as const satisfies Record<Collection, readonly string[]>;

type Queried<C extends Collection> = Partial<Record<(typeof fieldNames)[C][number], Value>>;

function queriedOf(write: Write): Fields {
  switch (write.collection) {
    case "refs":
    case "images":
    case "leases":
      return {};
    case "reports":
    case "notices":
    case "letters":
      return { expireAt: { timestampValue: timeOf(write.value.expireMs) } } satisfies Queried<
        "reports" | "notices" | "letters"
      >;
    case "workloads": {
      const { target, open, dueMs } = write.value;
      return {
        target: string(target),
        ...(open === undefined
          ? dueMs === undefined
            ? {}
            : { dueMs: number(dueMs) }
          : { state: string(open.state), plannedMs: number(open.times.planned), dueMs: number(open.dueMs) }),
      } satisfies Queried<"workloads">;
    }
    case "rollouts": {
      const { workload, seq, times } = write.value;
      return {
        workload: string(workload),
        seq: number(seq),
        plannedMs: number(times.planned),
      } satisfies Queried<"rollouts">;
    }
    case "events": {
      const { heardMs, expireMs } = write.value;
      const image = imageOf(write.value);
      return {
        ...(image === undefined ? {} : { repository: string(image.repository) }),
        ...(image?.tag === undefined ? {} : { tag: string(image.tag) }),
        heardMs: number(heardMs),
        expireAt: { timestampValue: timeOf(expireMs) },
      } satisfies Queried<"events">;
    }
    default:
      return write satisfies never;
  }
}

/** @throws LedgerDeniedError when the document is not Landfall's */
export function storedOf<C extends Collection>({ path, fields }: Found): Stored<C> {
  const read = StoredFields.safeParse(fields);
  if (!read.success) {
    throw new LedgerDeniedError(
      `Firestore's document ${path} was not written by Landfall: give Landfall a database of its own, LANDFALL_LEDGER=firestore:PROJECT/DATABASE`,
    );
  }
  const { id, rev, writer, data } = read.data;
  return {
    id: id.stringValue,
    rev: Number(rev.integerValue),
    writer: writer.stringValue,
    value: JSON.parse(data.stringValue),
  };
}

/** When a document needs a marker, ms; workloads are found without one. */
export function markedMs(collection: Collection, value: Documents[Collection]): number | undefined {
  return collection !== "workloads" && "dueMs" in value ? value.dueMs : undefined;
}
