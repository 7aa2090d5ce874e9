/**
 * The object that a delta makes of its base (https://git-scm.com/docs/gitformat-pack#_deltified_representation).
 * @throws RangeError when it is none for that base, or makes more than `maxBytes`
 */
export function applyDelta(base: Buffer, delta: Buffer, maxBytes: number): Buffer {
  const reader = byteReader(delta);
  const baseBytes = sizeOf(reader);
  const resultBytes = sizeOf(reader);
  if (baseBytes !== base.length || resultBytes > maxBytes) throw new RangeError("a delta of another object");
  const result = Buffer.alloc(resultBytes);
  let at = 0;
  while (!reader.isAtEnd()) {
    const instruction = reader.next();
    const piece =
      (instruction & 0x80) === 0 ? reader.take(instruction) : copied(base, instruction, reader.next);
    if (piece.length === 0 || at + piece.length > resultBytes) throw new RangeError("a delta that overruns");
    at += piece.copy(result, at);
  }
  if (at !== resultBytes) throw new RangeError("a delta that ends early");
  return result;
}

interface ByteReader {
  next(): number;
  take(bytes: number): Buffer;
  isAtEnd(): boolean;
}

function byteReader(bytes: Buffer): ByteReader {
  let at = 0;
  const take = (count: number) => {
    if (at + count > bytes.length) throw new RangeError("a delta that is cut off");
    at += count;
    return bytes.subarray(at - count, at);
  };
  return { next: () => take(1).readUInt8(), take, isAtEnd: () => at === bytes.length };
}

/** Seven bits a byte, the lowest first. */
function sizeOf(reader: ByteReader): number {
  let size = 0;
  for (let factor = 1; ; factor *= 128) {
    const byte = reader.next();
    size += (byte & 0x7f) * factor;
    if ((byte & 0x80) === 0) return size;
    if (factor > 2 ** 35) throw new RangeError("a size beyond all limits");
  }
}

/** The lower bits of the instruction say which bytes of offset (four) and length (three) follow. */
function copied(base: Buffer, instruction: number, next: () => number): Buffer {
  const number = (firstBit: number, bytes: number) => {
    let value = 0;
    for (let index = 0; index < bytes; index += 1) {
      if ((instruction & (1 << (firstBit + index))) !== 0) value += next() * 256 ** index;
    }
    return value;
  };
  const offset = number(0, 4);
  const length = number(4, 3) || 0x10000;
  if (offset + length > base.length) throw new RangeError("a delta that copies beyond its base");
  return base.subarray(offset, offset + length);
}
