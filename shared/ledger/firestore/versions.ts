import type { Version } from "./wire.ts";

/** What a commit has to know of the document that it replaces, beside its `rev`. */
interface Known {
  readonly version: Version;
  /** The marker that it has, if it has one, ms. */
  readonly markedMs: number | undefined;
}

export interface Versions {
  at(path: string, rev: number): Known | undefined;
  remember(path: string, rev: number, known: Known): void;
  forget(path: string, rev: number): void;
}

/** Remembers versions of documents at their `rev`, the last used ones. Nothing depends on it but the number of reads. */
export function versions(max: number): Versions {
  const kept = new Map<string, Known>();
  const keyOf = (path: string, rev: number) => `${rev} ${path}`;
  return {
    at: (path, rev) => kept.get(keyOf(path, rev)),
    remember: (path, rev, known) => {
      const key = keyOf(path, rev);
      kept.delete(key);
      kept.set(key, known);
      if (kept.size <= max) return;
      const [oldest] = kept.keys();
      if (oldest !== undefined) kept.delete(oldest);
    },
    forget: (path, rev) => {
      kept.delete(keyOf(path, rev));
    },
  };
}
