import type { Notice, NoticeKind } from "../domain/notice.ts";

/** A notice as a flow left it, in the batch that made it true. */
export interface NoticeDocument {
  readonly notice: Notice;
  /** Notices of one kind and group are told together. */
  readonly group: string;
  /** Absent: it is in a letter. */
  readonly dueMs?: number;
  readonly expireMs: number;
}

/** A notifier that has not taken a letter yet. */
export interface Addressee {
  readonly name: string;
  /** Attempts that failed. */
  readonly tries: number;
  readonly dueMs: number;
}

/**
 * Notices that are told in one message. Id: `letterId`. While it is `gathering` notices are added to it; from the first
 * attempt to send it on it stays as it is, and later ones of its group begin another letter.
 */
export interface LetterDocument {
  readonly kind: NoticeKind;
  readonly group: string;
  readonly state: "gathering" | "sending" | "done";
  /** Names the message to those who get it, the same at every attempt. */
  readonly message: string;
  /** The event that all of its notices share. */
  readonly event?: string;
  /** The first ones, at most 50. */
  readonly notices: readonly Notice[];
  /** Notices beyond those. */
  readonly more: number;
  readonly sinceMs: number;
  /** Who is still to be told; empty while it is gathering. */
  readonly open: readonly Addressee[];
  /** When the sweep looks at it; while somebody sends it, when another one may. */
  readonly dueMs?: number;
  readonly expireMs: number;
}

/** @param number 0 for the first letter of a group */
export function letterId(kind: NoticeKind, group: string, number: number): string {
  return `${kind}/${group}/${number}`;
}
