/** Objects of a pack, kept close together: as buffers of their own they would cost more than their content. */
export interface KeptObjects {
  /** Room for the next object, until `keep` or the next call. */
  room(bytes: number): Buffer;
  /** Keeps what has been written to the room, as the object that begins there in the pack. */
  keep(offset: number): void;
  at(offset: number): Buffer | undefined;
  offsets(): Iterable<number>;
  readonly count: number;
  /** All that is kept, with what finding it again costs. */
  readonly bytes: number;
}

const firstBlockBytes = 16 * 1024;
const maxBlockBytes = 1024 * 1024;
/** Each object stands behind its own length. */
const prefixBytes = 4;
const indexBytes = 48;

export function keptObjects(): KeptObjects {
  const blocks: Buffer[] = [];
  /** Where an object stands: the number of its block, and the place there. */
  const places = new Map<number, number>();
  const maxPlaces = 2 ** 32;
  let block: Buffer = Buffer.alloc(0);
  let used = 0;
  let reserved = 0;
  let bytes = 0;

  return {
    room(size) {
      reserved = prefixBytes + size;
      if (used + reserved > block.length) {
        block = Buffer.allocUnsafeSlow(
          Math.max(reserved, Math.min(maxBlockBytes, firstBlockBytes * 2 ** blocks.length)),
        );
        blocks.push(block);
        used = 0;
      }
      return block.subarray(used + prefixBytes, used + reserved);
    },
    keep(offset) {
      block.writeUInt32BE(reserved - prefixBytes, used);
      places.set(offset, (blocks.length - 1) * maxPlaces + used);
      used += reserved;
      bytes += reserved + indexBytes;
    },
    at(offset) {
      const place = places.get(offset);
      const within = place === undefined ? undefined : blocks[Math.floor(place / maxPlaces)];
      if (place === undefined || within === undefined) return undefined;
      const start = (place % maxPlaces) + prefixBytes;
      return within.subarray(start, start + within.readUInt32BE(start - prefixBytes));
    },
    offsets: () => places.keys(),
    get count() {
      return places.size;
    },
    get bytes() {
      return bytes;
    },
  };
}
