import { createHash } from "node:crypto";
import { deflateSync } from "node:zlib";

/** An object to be packed. */
export type PackedObject =
  | { readonly type: "commit" | "tree" | "blob" | "tag"; readonly content: Buffer }
  /** Its base is so many objects before it. */
  | { readonly type: "offset-delta"; readonly back: number; readonly delta: Buffer }
  | { readonly type: "ref-delta"; readonly baseId: string; readonly delta: Buffer };

const numbers = { commit: 1, tree: 2, blob: 3, tag: 4, "offset-delta": 6, "ref-delta": 7 } as const;

/** Writes a pack, version 2, as git's documentation describes it. */
export function writePack(
  objects: readonly PackedObject[],
  format: "sha1" | "sha256" = "sha1",
  said = objects.length,
): Buffer {
  const head = Buffer.alloc(12);
  head.write("PACK");
  head.writeUInt32BE(2, 4);
  head.writeUInt32BE(said, 8);
  const starts: number[] = [];
  let bytes = head.length;
  const written = objects.map((object, index) => {
    starts.push(bytes);
    const content = "content" in object ? object.content : object.delta;
    const parts = [header(numbers[object.type], content.length)];
    if (object.type === "offset-delta") parts.push(distance(bytes - (starts[index - object.back] ?? 0)));
    if (object.type === "ref-delta") parts.push(Buffer.from(object.baseId, "hex"));
    const all = Buffer.concat([...parts, deflateSync(content)]);
    bytes += all.length;
    return all;
  });
  const pack = Buffer.concat([head, ...written]);
  return Buffer.concat([pack, createHash(format).update(pack).digest()]);
}

/** A delta that keeps the first and the last bytes of its base and has something else between them. */
export function writeDelta(base: Buffer, keepFirst: number, insert: Buffer, keepLast: number): Buffer {
  const inserts = Array.from({ length: Math.ceil(insert.length / 127) }, (_, index) => {
    const piece = insert.subarray(index * 127, (index + 1) * 127);
    return Buffer.concat([Buffer.from([piece.length]), piece]);
  });
  return Buffer.concat([
    sevenBits(base.length),
    sevenBits(keepFirst + insert.length + keepLast),
    ...copies(0, keepFirst),
    ...inserts,
    ...copies(base.length - keepLast, keepLast),
  ]);
}

function copies(from: number, length: number): readonly Buffer[] {
  const most = 0xffffff;
  return Array.from({ length: Math.ceil(length / most) }, (_, index) => {
    const offset = from + index * most;
    const size = Math.min(most, length - index * most);
    const bytes = [0, 8, 16, 24].map((shift) => (offset >>> shift) & 0xff);
    const sizes = [0, 8, 16].map((shift) => (size >>> shift) & 0xff);
    const present = [...bytes, ...sizes].map((byte, bit) => (byte === 0 ? 0 : 1 << bit));
    const instruction = 0x80 + present.reduce((sum, bit) => sum + bit, 0);
    return Buffer.from([instruction, ...[...bytes, ...sizes].filter((byte) => byte !== 0)]);
  });
}

function sevenBits(value: number): Buffer {
  const bytes = [value % 128];
  for (let left = Math.floor(value / 128); left > 0; left = Math.floor(left / 128)) bytes.push(left % 128);
  return Buffer.from(bytes.map((byte, index) => (index === bytes.length - 1 ? byte : byte | 0x80)));
}

function header(type: number, size: number): Buffer {
  const rest = Math.floor(size / 16);
  const first = (type << 4) | (size % 16);
  return rest === 0 ? Buffer.from([first]) : Buffer.concat([Buffer.from([first | 0x80]), sevenBits(rest)]);
}

function distance(bytes: number): Buffer {
  const digits = [bytes % 128];
  for (let left = Math.floor(bytes / 128); left > 0; left = Math.floor((left - 1) / 128)) {
    digits.unshift(((left - 1) % 128) | 0x80);
  }
  return Buffer.from(digits);
}
