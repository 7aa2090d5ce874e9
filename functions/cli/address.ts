import { nearest } from "../../shared/config/nearest.ts";
import type { Answer } from "./command.ts";

/** What a shortened address stands for. */
export type Match =
  | { readonly kind: "one"; readonly id: string }
  | { readonly kind: "several"; readonly ids: readonly string[] }
  | { readonly kind: "none"; readonly meant?: string };

/**
 * Finds an address by itself or by any unique tail of whole parts: `web` and `prod/web` stand for `swarm/prod/web`,
 * `eb` does not. An address that is written whole is never ambiguous.
 */
export function matchAddress(text: string, ids: readonly string[]): Match {
  if (ids.includes(text)) return { kind: "one", id: text };
  const found = ids.filter((id) => id.endsWith(`/${text}`));
  const [only] = found;
  if (found.length > 1) return { kind: "several", ids: found.toSorted() };
  if (only !== undefined) return { kind: "one", id: only };
  const parts = text.split("/").length;
  const tails = Map.groupBy(ids, (id) => id.split("/").slice(-parts).join("/"));
  const tail = nearest(text, tails.keys());
  if (tail === undefined) return { kind: "none" };
  const [meant, ...others] = tails.get(tail) ?? [];
  return { kind: "none", meant: meant === undefined || others.length > 0 ? tail : meant };
}

/** The answer to an address that does not stand for exactly one workload. */
export function unmatched(asked: string, match: Exclude<Match, { kind: "one" }>): Answer {
  switch (match.kind) {
    case "several":
      return ambiguous(asked, match.ids);
    case "none": {
      const hint =
        match.meant === undefined ? "`landfall status` lists them." : `Did you mean \`${match.meant}\`?`;
      return { kind: "failed", text: `No workload \`${asked}\` is on record. ${hint}` };
    }
    default:
      return match satisfies never;
  }
}

/** The answer to a name that could stand for several things. */
export function ambiguous(asked: string, candidates: readonly string[]): Answer & { readonly kind: "usage" } {
  const text = `\`${asked}\` could be:\n${candidates.map((each) => `  ${each}`).join("\n")}`;
  return { kind: "usage", text, json: { candidates } };
}
