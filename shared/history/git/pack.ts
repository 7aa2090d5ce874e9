import { createHash } from "node:crypto";
import { inflateSync } from "node:zlib";
import { applyDelta } from "./delta.ts";

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
  maxKeptBytes: 48 * 1024 * 1024,
};

const headBytes = 12;
/** What keeping an object costs beside its content. */
const keptOverheadBytes = 200;

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
  const byOffset = new Map<number, Buffer>();
  let byId: Map<string, Buffer> | undefined;
  let rest: Buffer = Buffer.alloc(0);
  let restAt = 0;
  let keptBytes = 0;
  let left: number | undefined;
  let count: number | undefined;
  let whole = false;

  const consume = (bytes: number) => {
    hash.update(rest.subarray(0, bytes));
    rest = rest.subarray(bytes);
    restAt += bytes;
  };

  const readHead = () => {
    if (rest.length < headBytes) return false;
    const version = rest.readUInt32BE(4);
    if (rest.toString("latin1", 0, 4) !== "PACK" || (version !== 2 && version !== 3)) {
      throw new PackError("broken", "no pack");
    }
    count = rest.readUInt32BE(8);
    left = count;
    consume(headBytes);
    return !isUnread();
  };

  const isUnread = () => count !== undefined && count > limits.readUpTo;

  const baseFor = (header: ObjectHeader): Buffer => {
    if (header.baseOffset !== undefined) {
      const base = byOffset.get(restAt - header.baseOffset);
      if (base !== undefined) return base;
    } else if (header.baseId !== undefined) {
      byId ??= new Map([...byOffset.values()].map((commit) => [idOf(format, commit), commit]));
      const base = byId.get(header.baseId);
      if (base !== undefined) return base;
    }
    throw new PackError("broken", "a delta whose base is not in the pack");
  };

  const keep = (commit: Buffer) => {
    keptBytes += commit.length + keptOverheadBytes;
    if (keptBytes > limits.maxKeptBytes) {
      throw new PackError("too-large", `more than ${byOffset.size} commits`);
    }
    byOffset.set(restAt, commit);
    byId?.set(idOf(format, commit), commit);
  };

  const readObject = () => {
    const header = headerAt(rest, idBytes);
    if (header === undefined) return false;
    if (header.size > limits.maxObjectBytes) {
      throw new PackError("too-large", `an object of ${header.size} bytes`);
    }
    const inflated = inflate(rest.subarray(header.bytes), header.size);
    if (inflated === undefined) return false;
    const commit =
      header.type === types.commit
        ? inflated.content
        : delta(baseFor(header), inflated.content, limits.maxObjectBytes);
    keep(commit);
    consume(header.bytes + inflated.bytes);
    onCommit(commit);
    return true;
  };

  const readChecksum = () => {
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
  /** Of the header itself. */
  readonly bytes: number;
  /** How many bytes before this object its base begins. */
  readonly baseOffset?: number;
  readonly baseId?: string;
}

/** `undefined`: it has not come whole yet. */
function headerAt(bytes: Buffer, idBytes: number): ObjectHeader | undefined {
  let at = 0;
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
      return { type, size, bytes: at };
    case types.refDelta: {
      if (bytes.length < at + idBytes) return undefined;
      return { type, size, bytes: at + idBytes, baseId: bytes.toString("hex", at, at + idBytes) };
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
      return { type, size, bytes: at, baseOffset: offset };
    }
    default:
      throw new PackError("broken", `an object of type ${type} among the commits`);
  }
}

/** Inflates one object of which only the inflated size is known; `undefined`: it has not come whole yet. */
function inflate(
  bytes: Buffer,
  size: number,
): { readonly content: Buffer; readonly bytes: number } | undefined {
  try {
    // One byte more than needed: zlib tells the end only where there is room left.
    const options = { info: true, chunkSize: Math.max(size + 1, 64), maxOutputLength: Math.max(size, 1) };
    const { buffer, engine } = inflateSync(bytes, options) as unknown as Inflated;
    if (buffer.length !== size) throw new PackError("broken", "an object of another size than it says");
    return { content: buffer, bytes: engine.bytesWritten };
  } catch (error) {
    if (error instanceof PackError) throw error;
    if (error instanceof Error && "code" in error && error.code === "Z_BUF_ERROR") return undefined;
    throw new PackError("broken", "an object that cannot be inflated", { cause: error });
  }
}

/** What zlib gives with `info`; its types know only the buffer. */
interface Inflated {
  readonly buffer: Buffer;
  readonly engine: { readonly bytesWritten: number };
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
