/** A full commit id in lower case: 40 hex digits, or 64 in a SHA-256 repository. */
export type Commit = string & { readonly commit: unique symbol };

const commitPattern = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/** Whether a text is a full commit id. Short ids are ambiguous and are none here. */
export function isCommit(text: unknown): text is Commit {
  return typeof text === "string" && commitPattern.test(text);
}
