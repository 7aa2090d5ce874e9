import { createHash } from "node:crypto";
import { applyDelta } from "./delta.ts";
import { inflate } from "./inflate.ts";
import { keptObjects } from "./kept-objects.ts";

export type ObjectFormat = "sha1" | "sha256";

/** Reads a pack of commits as it comes, one object at a time. */
export interface PackReader {
  /** @throws PackError */
  push(piece: Buffer): void;
  /** How many objects the pack has; `undefined` until its first bytes have come. */
  count(): number | undefined;
  /** Whether it has more objects than are to be read: then none is. */
  isUnread(): boolean;
  /** Whether all of it has come, and its checksum is right. */
  isWhole(): boolean;
}

/** The bytes are no pack of commits, or one that is too large to be read. */
export class PackError extends Error {
  readonly kind: "broken" | "too-large";

  constructor(kind: PackError["kind"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

export interface PackLimits {
  /** A pack of more objects is left unread. */
  readonly readUpTo: number;
  /** One object, inflated. */
  readonly maxObjectBytes: number;
  /** All objects together, inflated: any of them may be the base of a later one, so none is forgotten. */
  readonly maxKeptBytes: number;
}

export const packLimits: PackLimits = {
  readUpTo: Number.POSITIVE_INFINITY,
  maxObjectBytes: 1024 * 1024,
  maxKeptBytes: 20 * 1024 * 1024,
};

const headBytes = 12;

const types = { commit: 1, offsetDelta: 6, refDelta: 7 } as const;

/**
 * A pack as a server sends it to who asked for no trees (https://git-scm.com/docs/gitformat-pack): commits, or deltas
 * between them. Any other object is refused.
 * @param onCommit gets each commit's text, headers and message
 */
export function packReader(
  format: ObjectFormat,
  onCommit: (commit: Buffer) => void,
  limits: PackLimits,
): PackReader {
  const hash = createHash(format);
  const idBytes = format === "sha1" ? 20 : 32;
  const kept = keptObjects();
  /** Where objects begin, by their id: made once one is named so. */
  let byId: Map<string, number> | undefined;
  let rest: Buffer = Buffer.alloc(0);
  /** Where in the pack `rest` begins, and how far it has been read. */
  let restStart = 0;
  let at = 0;
  let left: number | undefined;
  let count: number | undefined;
  let whole = false;

  /** What has been read goes into the checksum, and is let go. */
  const forget = () => {
    hash.update(rest.subarray(0, at));
    rest = rest.subarray(at);
    restStart += at;
    at = 0;
  };

  const readHead = () => {
    if (rest.length < headBytes) return false;
    const version = rest.readUInt32BE(4);
    if (rest.toString("latin1", 0, 4) !== "PACK" || (version !== 2 && version !== 3)) {
      throw new PackError("broken", "no pack");
    }
    count = rest.readUInt32BE(8);
    left = count;
    at = headBytes;
    return !isUnread();
  };

  const isUnread = () => count !== undefined && count > limits.readUpTo;

  const idAt = (offset: number) => idOf(format, kept.at(offset) ?? Buffer.alloc(0));

  const baseFor = (header: ObjectHeader): Buffer => {
    if (header.baseId !== undefined) {
      byId ??= new Map([...kept.offsets()].map((offset) => [idAt(offset), offset]));
    }
    const offset =
      header.baseOffset === undefined ? byId?.get(header.baseId ?? "") : restStart + at - header.baseOffset;
    const base = offset === undefined ? undefined : kept.at(offset);
    if (base === undefined) throw new PackError("broken", "a delta whose base is not in the pack");
    return base;
  };

  const keep = (offset: number) => {
    kept.keep(offset);
    byId?.set(idAt(offset), offset);
    if (kept.bytes > limits.maxKeptBytes) {
      throw new PackError(
        "too-large",
        `more than ${kept.count} commits lie in between, and to be sure all would have to be read`,
      );
    }
  };

  const readObject = () => {
    const header = headerAt(rest, at, idBytes);
    if (header === undefined) return false;
    if (header.size > limits.maxObjectBytes) {
      throw new PackError("too-large", `an object of ${header.size} bytes`);
    }
    const isWhole = header.type === types.commit;
    const content = isWhole ? kept.room(header.size) : Buffer.allocUnsafe(header.size);
    const end = inflated(rest, header.end, content);
    if (end === undefined) return false;
    const commit = isWhole ? content : restored(baseFor(header), content);
    keep(restStart + at);
    at = end;
    onCommit(commit);
    return true;
  };

  const restored = (base: Buffer, instructions: Buffer) => {
    const made = delta(base, instructions, limits.maxObjectBytes);
    const room = kept.room(made.length);
    made.copy(room);
    return room;
  };

  const readChecksum = () => {
    forget();
    if (rest.length < idBytes) return false;
    if (!hash.digest().equals(rest.subarray(0, idBytes))) {
      throw new PackError("broken", "a checksum that is not the pack's");
    }
    if (rest.length > idBytes) throw new PackError("broken", "bytes after the pack's end");
    rest = Buffer.alloc(0);
    whole = true;
    return false;
  };

  const step = () => {
    if (left === undefined) return readHead();
    if (left === 0) return readChecksum();
    if (!readObject()) return false;
    left -= 1;
    return true;
  };

  return {
    push(piece) {
      if (isUnread()) return;
      if (whole && piece.length > 0) throw new PackError("broken", "bytes after the pack's end");
      rest = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
      let goesOn = !whole;
      while (goesOn) goesOn = step();
      if (!whole) forget();
    },
    count: () => count,
    isUnread,
    isWhole: () => whole,
  };
}

interface ObjectHeader {
  readonly type: number;
  /** Of the content, inflated. */
  readonly size: number;
  /** Where it ends, and the content begins. */
  readonly end: number;
  /** How many bytes before this object its base begins. */
  readonly baseOffset?: number;
  readonly baseId?: string;
}

/** `undefined`: it has not come whole yet. */
function headerAt(bytes: Buffer, start: number, idBytes: number): ObjectHeader | undefined {
  let at = start;
  let byte = bytes[at];
  if (byte === undefined) return undefined;
  const type = (byte >> 4) & 7;
  let size = byte & 15;
  for (let factor = 16; (byte & 0x80) !== 0; factor *= 128) {
    if (factor > 2 ** 40) throw new PackError("broken", "an object of no possible size");
    at += 1;
    byte = bytes[at];
    if (byte === undefined) return undefined;
    size += (byte & 0x7f) * factor;
  }
  at += 1;
  switch (type) {
    case types.commit:
      return { type, size, end: at };
    case types.refDelta: {
      if (bytes.length < at + idBytes) return undefined;
      return { type, size, end: at + idBytes, baseId: bytes.toString("hex", at, at + idBytes) };
    }
    case types.offsetDelta: {
      let offset = -1;
      do {
        byte = bytes[at];
        if (byte === undefined) return undefined;
        // Each further byte stands for numbers that shorter ones cannot say.
        offset = (offset + 1) * 128 + (byte & 0x7f);
        if (offset > 2 ** 40) throw new PackError("broken", "a base before all objects");
        at += 1;
      } while ((byte & 0x80) !== 0);
      return { type, size, end: at, baseOffset: offset };
    }
    default:
      throw new PackError("broken", `an object of type ${type} among the commits`);
  }
}

function inflated(bytes: Buffer, start: number, content: Buffer): number | undefined {
  try {
    return inflate(bytes, start, content);
  } catch (error) {
    throw new PackError("broken", "an object that cannot be inflated", { cause: error });
  }
}

function delta(base: Buffer, instructions: Buffer, maxBytes: number): Buffer {
  try {
    return applyDelta(base, instructions, maxBytes);
  } catch (error) {
    throw new PackError("broken", "a delta that cannot be applied", { cause: error });
  }
}

function idOf(format: ObjectFormat, commit: Buffer): string {
  return createHash(format).update(`commit ${commit.length}\0`).update(commit).digest("hex");
}
