import { createHash } from "node:crypto";
import type { Collection } from "../ledger.ts";

/** Firestore's own limit. */
const maxIdBytes = 1_500;
/** Of an id that is over it, this much stays to be read by people. */
const keptBytes = 1_000;

/** What is due though its collection is not `workloads` has a marker here, below it. */
const markerSuffix = "/workloads/due";

/**
 * Where a document is, below the database. Firestore's ids have no `/`, are not `.`, `..`, `__*__` or empty and have at
 * most 1,500 bytes; ours are any text. Different ids have different paths; the id itself is a field of the document.
 */
export function pathOf(collection: Collection, id: string): string {
  return `${collection}/${encodeId(id)}`;
}

export function markerOf(path: string): string {
  return `${path}${markerSuffix}`;
}

/** Collections whose documents are found through a marker when they are due. */
const marked = ["refs", "images", "events", "notices", "letters"] as const;

/** The document that a marker stands for; `undefined`: this is no marker. */
export function markedBy(
  path: string,
): { readonly collection: (typeof marked)[number]; readonly path: string } | undefined {
  const collection = marked.find((each) => path.startsWith(`${each}/`));
  return collection === undefined || !path.endsWith(markerSuffix)
    ? undefined
    : { collection, path: path.slice(0, -markerSuffix.length) };
}

function encodeId(id: string): string {
  // `%` and what follows here is nothing that encodeURIComponent gives.
  if (id === "") return "%";
  if (id === "." || id === "..") return id.replaceAll(".", "%2E");
  const encoded = encodeURIComponent(id).replace(/^__/, "%5F_");
  if (encoded.length <= maxIdBytes) return encoded;
  return `${encoded.slice(0, keptBytes)}%h${createHash("sha256").update(id).digest("hex")}`;
}
