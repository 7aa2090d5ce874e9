import type { Commit } from "../../domain/commit.ts";
import { type ObjectFormat, PackError, packLimits, packReader } from "./pack.ts";
import { lineOf, type Packet, packetReader } from "./pkt-line.ts";

/**
 * What a server has answered to "send me what `want` descends from and `have` does not". `unknown`: it does not have
 * `want`. `nothing`: `want` is `have` or an ancestor of it. `some`: it is neither; `children` tells whether a child of
 * `have` is among what came, so that `want` descends from it after all, or that was not read.
 */
export type Beyond =
  | { readonly kind: "unknown" }
  | { readonly kind: "nothing" }
  | {
      readonly kind: "some";
      readonly children: "some" | "none" | "unread";
      /** The server's own copy is cut off somewhere: what it did not send may be there all the same. */
      readonly shallow: boolean;
    };

/** Why an answer says nothing. */
export class AnswerError extends Error {
  readonly kind: "broken" | "too-large" | "refused";

  constructor(kind: AnswerError["kind"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

export interface BeyondReader {
  /** Never throws; `enough`: what comes after changes nothing. */
  push(piece: Buffer): "more" | "enough";
  /** @throws AnswerError when the answer came to an end before it said anything, or says something else */
  result(): Beyond;
}

const bands = { pack: 1, error: 3 } as const;
const parentPrefix = Buffer.from("parent ");

/**
 * Reads the answer to a fetch with `done` (https://git-scm.com/docs/gitprotocol-v2#_fetch).
 * @param readUpTo the most commits that are looked through for a child of `have`; more are `unread`
 */
export function beyondReader(
  format: ObjectFormat,
  want: Commit,
  have: Commit,
  readUpTo: number,
): BeyondReader {
  const packets = packetReader();
  let section: string | undefined;
  let shallow = false;
  let children = false;
  let ended = false;
  let decided: Beyond | AnswerError | undefined;
  const haveBytes = Buffer.from(have);
  const onCommit = (commit: Buffer) => {
    children ||= isChildOf(commit, haveBytes);
  };
  const pack = packReader(format, onCommit, { ...packLimits, readUpTo });

  const takePack = (data: Buffer): void => {
    const band = data[0];
    if (band === bands.error) {
      decided = new AnswerError("refused", said(lineOf(data.subarray(1))));
    } else if (band === bands.pack) {
      pack.push(data.subarray(1));
      if (children) decided = { kind: "some", children: "some", shallow };
      else if (pack.isUnread()) decided = { kind: "some", children: "unread", shallow };
    }
  };

  const take = (packet: Packet): void => {
    if (packet.kind !== "data") {
      section = undefined;
      ended = packet.kind === "flush";
      return;
    }
    if (section === "packfile") {
      takePack(packet.data);
      return;
    }
    const line = lineOf(packet.data);
    if (line.startsWith("ERR ")) {
      decided = isAbout(line, want) ? { kind: "unknown" } : new AnswerError("refused", said(line.slice(4)));
    } else if (section === undefined) {
      section = line;
      shallow ||= line === "shallow-info";
    }
  };

  return {
    push(piece) {
      try {
        for (const packet of packets.push(piece)) {
          if (decided === undefined) take(packet);
        }
      } catch (error) {
        decided = unreadable(error);
      }
      return decided === undefined ? "more" : "enough";
    },
    result() {
      if (decided instanceof AnswerError) throw decided;
      if (decided !== undefined) return decided;
      if (!ended || !packets.isBetween() || !pack.isWhole()) {
        throw new AnswerError("broken", "an answer that ends in the middle");
      }
      return pack.count() === 0 ? { kind: "nothing" } : { kind: "some", children: "none", shallow };
    },
  };
}

/** A commit's text begins with its tree and then its parents, one a line. */
function isChildOf(commit: Buffer, id: Buffer): boolean {
  let line = commit.indexOf("\n") + 1;
  while (line > 0 && commit.subarray(line, line + parentPrefix.length).equals(parentPrefix)) {
    const end = commit.indexOf("\n", line);
    if (commit.subarray(line + parentPrefix.length, end).equals(id)) return true;
    line = end + 1;
  }
  return false;
}

/** As git says it, and as JGit does. */
function isAbout(line: string, want: Commit): boolean {
  return line.includes(want) && /not our ref|not valid/.test(line);
}

/** A server's own words, short and printable. */
function said(text: string): string {
  return `it says: ${text
    .replaceAll(/[^\x20-\x7e]+/g, " ")
    .trim()
    .slice(0, 200)}`;
}

function unreadable(error: unknown): AnswerError {
  if (error instanceof PackError) return new AnswerError(error.kind, error.message, { cause: error });
  return new AnswerError("broken", "an answer that is not git's", { cause: error });
}
