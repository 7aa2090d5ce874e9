/**
 * Inflates the zlib stream (https://www.rfc-editor.org/rfc/rfc1950, rfc1951) that begins at `start`. Node's own makes
 * a stream object each time, which for the many small objects of a pack costs more memory than all of them.
 * @param content gets what comes out: it is as long as whoever deflated it has told
 * @returns where the stream ends; `undefined` when it has not come whole yet
 * @throws RangeError when it is none, or not of that length
 */
export function inflate(bytes: Buffer, start: number, content: Buffer): number | undefined {
  try {
    const bits = new BitReader(bytes, start);
    readHeader(bits);
    let at = 0;
    for (let last = false; !last; ) {
      last = bits.take(1) === 1;
      at = readBlock(bits, content, at);
    }
    if (at !== content.length) throw new RangeError("content that is shorter than it should be");
    bits.alignToByte();
    if (bits.takeNumber() !== adler32(content)) throw new RangeError("content that its checksum is not of");
    return bits.at;
  } catch (error) {
    if (error === starved) return undefined;
    throw error;
  }
}

/** Thrown where the bytes end in the middle; one for all, as that happens at the end of each piece. */
const starved = new RangeError("more bytes are needed");

const deflate = 8;
const maxCodeBits = 15;
const endOfBlock = 256;
/** In which order the lengths of the codes for code lengths are sent. */
const lengthOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

interface Steps {
  readonly base: readonly number[];
  readonly extraBits: readonly number[];
}

/** Lengths from 3: eight of their own, then four for each further bit; the last stands for the longest alone. */
const copyLengths = steps(28, 3, (code) => (code < 8 ? 0 : (code >> 2) - 1), 258);
/** Distances from 1: four of their own, then two for each further bit. */
const copyDistances = steps(30, 1, (code) => (code < 4 ? 0 : (code >> 1) - 1));

/** A canonical code: how many codes each length has, and their symbols in order. */
interface Code {
  readonly counts: Uint16Array;
  readonly symbols: Uint16Array;
}

// Nothing here waits, so one of each serves every stream: a pack has thousands.
const lengths = new Uint8Array(320);
const next = new Uint16Array(maxCodeBits + 1);
const lengthCode = emptyCode(19);
const literalCode = emptyCode(288);
const distanceCode = emptyCode(32);
const fixedLiterals = fill(
  emptyCode(288),
  Uint8Array.from({ length: 288 }, (_, symbol) =>
    symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8,
  ),
);
const fixedDistances = fill(emptyCode(30), new Uint8Array(30).fill(5));

class BitReader {
  readonly #bytes: Buffer;
  #hold = 0;
  #held = 0;
  at: number;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  /** The next bits, at most 16, the first of them the lowest. */
  take(count: number): number {
    while (this.#held < count) {
      this.#hold |= this.takeByte() << this.#held;
      this.#held += 8;
    }
    const value = this.#hold & ((1 << count) - 1);
    this.#hold >>>= count;
    this.#held -= count;
    return value;
  }

  takeByte(): number {
    const byte = this.#bytes[this.at];
    if (byte === undefined) throw starved;
    this.at += 1;
    return byte;
  }

  /** Four whole bytes, the highest first. */
  takeNumber(): number {
    if (this.at + 4 > this.#bytes.length) throw starved;
    this.at += 4;
    return this.#bytes.readUInt32BE(this.at - 4);
  }

  /** Drops what is left of a byte; no more than that is ever held. */
  alignToByte(): void {
    this.#hold = 0;
    this.#held = 0;
  }
}

function readHeader(bits: BitReader): void {
  const method = bits.takeByte();
  const flags = bits.takeByte();
  const asksForDictionary = (flags & 0x20) !== 0;
  if ((method & 15) !== deflate || (method * 256 + flags) % 31 !== 0 || asksForDictionary) {
    throw new RangeError("no zlib stream");
  }
}

/** Returns how much content there is after the block. */
function readBlock(bits: BitReader, content: Buffer, at: number): number {
  switch (bits.take(2)) {
    case 0:
      return readStored(bits, content, at);
    case 1:
      return readCoded(bits, content, at, fixedLiterals, fixedDistances);
    case 2:
      readCodes(bits);
      return readCoded(bits, content, at, literalCode, distanceCode);
    default:
      throw new RangeError("a block of no kind");
  }
}

function readStored(bits: BitReader, content: Buffer, from: number): number {
  bits.alignToByte();
  const length = bits.take(16);
  if ((bits.take(16) ^ length) !== 0xffff || from + length > content.length) {
    throw new RangeError("a stored block of no such length");
  }
  for (let at = from; at < from + length; at += 1) content[at] = bits.takeByte();
  return from + length;
}

function readCoded(bits: BitReader, content: Buffer, from: number, literals: Code, distances: Code): number {
  let at = from;
  for (;;) {
    const symbol = decode(bits, literals);
    if (symbol === endOfBlock) return at;
    if (symbol < endOfBlock) {
      if (at === content.length) throw new RangeError("content that is longer than it should be");
      content[at] = symbol;
      at += 1;
      continue;
    }
    const length = valueOfStep(bits, copyLengths, symbol - endOfBlock - 1);
    const distance = valueOfStep(bits, copyDistances, decode(bits, distances));
    if (distance > at || at + length > content.length) throw new RangeError("a copy of what is not there");
    // What is copied may reach into what is being written: byte by byte, as the format has it.
    for (const end = at + length; at < end; at += 1) content[at] = content[at - distance] ?? 0;
  }
}

/** Reads the codes of a block that brings its own. */
function readCodes(bits: BitReader): void {
  const literals = bits.take(5) + 257;
  const distances = bits.take(5) + 1;
  const sent = bits.take(4) + 4;
  lengths.fill(0);
  for (let index = 0; index < sent; index += 1) lengths[lengthOrder[index] ?? 0] = bits.take(3);
  fill(lengthCode, lengths.subarray(0, 19));
  const all = literals + distances;
  lengths.fill(0);
  for (let at = 0; at < all; ) {
    const symbol = decode(bits, lengthCode);
    if (symbol < 16) {
      lengths[at] = symbol;
      at += 1;
      continue;
    }
    if (symbol === 16 && at === 0) throw new RangeError("a repetition of nothing");
    const repeated = symbol === 16 ? (lengths[at - 1] ?? 0) : 0;
    const times = symbol === 16 ? 3 + bits.take(2) : symbol === 17 ? 3 + bits.take(3) : 11 + bits.take(7);
    if (at + times > all) throw new RangeError("more code lengths than there are codes");
    lengths.fill(repeated, at, at + times);
    at += times;
  }
  fill(literalCode, lengths.subarray(0, literals));
  fill(distanceCode, lengths.subarray(literals, all));
}

/** Codes of one length follow each other as numbers: a code is found by how far it is past the first of its length. */
function decode(bits: BitReader, { counts, symbols }: Code): number {
  let code = 0;
  let first = 0;
  let before = 0;
  for (let length = 1; length <= maxCodeBits; length += 1) {
    code += bits.take(1);
    const count = counts[length] ?? 0;
    if (code < first + count) return symbols[before + code - first] ?? 0;
    before += count;
    first = (first + count) * 2;
    code *= 2;
  }
  throw new RangeError("a code that stands for nothing");
}

function fill(code: Code, codeLengths: Uint8Array): Code {
  const { counts, symbols } = code;
  counts.fill(0);
  for (const length of codeLengths) counts[length] = (counts[length] ?? 0) + 1;
  counts[0] = 0;
  let free = 1;
  for (let length = 1; length <= maxCodeBits; length += 1) {
    const count = counts[length] ?? 0;
    free = free * 2 - count;
    if (free < 0) throw new RangeError("more codes than there can be");
    next[length] = (next[length - 1] ?? 0) + (counts[length - 1] ?? 0);
  }
  for (let symbol = 0; symbol < codeLengths.length; symbol += 1) {
    const length = codeLengths[symbol] ?? 0;
    if (length === 0) continue;
    const place = next[length] ?? 0;
    symbols[place] = symbol;
    next[length] = place + 1;
  }
  return code;
}

function emptyCode(symbols: number): Code {
  return { counts: new Uint16Array(maxCodeBits + 1), symbols: new Uint16Array(symbols) };
}

function steps(codes: number, from: number, bitsOf: (code: number) => number, last?: number): Steps {
  const extraBits = Array.from({ length: codes }, (_, code) => bitsOf(code));
  let next = from;
  const base = extraBits.map((extra) => {
    next += 2 ** extra;
    return next - 2 ** extra;
  });
  return last === undefined ? { base, extraBits } : { base: [...base, last], extraBits: [...extraBits, 0] };
}

function valueOfStep(bits: BitReader, { base, extraBits }: Steps, code: number): number {
  const from = base[code];
  if (from === undefined) throw new RangeError("a length or distance that there is not");
  return from + bits.take(extraBits[code] ?? 0);
}

function adler32(content: Buffer): number {
  let low = 1;
  let high = 0;
  for (const byte of content) {
    low = (low + byte) % 65_521;
    high = (high + low) % 65_521;
  }
  return high * 65_536 + low;
}
