import { constants, deflateSync, inflateSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { inflate as inflateInto } from "../../shared/history/git/inflate.ts";

function inflate(bytes: Buffer, start: number, size: number) {
  const content = Buffer.alloc(size);
  const end = inflateInto(bytes, start, content);
  return end === undefined ? undefined : { content, end };
}

/** Text that repeats itself as commits do, noise, and all between. */
const contents = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc
        .constantFrom("tree ", "parent ", "author Ada <ada@example.com> ", "\n")
        .map((text) => Buffer.from(text)),
      fc.integer({ min: 1, max: 40_000 }).map((length) => Buffer.alloc(length, "ab")),
    ),
    { maxLength: 20 },
  )
  .map((parts) => Buffer.concat(parts));

const options = fc.record({
  level: fc.integer({ min: 0, max: 9 }),
  memLevel: fc.integer({ min: 1, max: 9 }),
  windowBits: fc.integer({ min: 9, max: 15 }),
  strategy: fc.constantFrom(
    constants.Z_DEFAULT_STRATEGY,
    constants.Z_FILTERED,
    constants.Z_HUFFMAN_ONLY,
    constants.Z_RLE,
    constants.Z_FIXED,
  ),
});

describe("a zlib stream", () => {
  it("is inflated to what Node has deflated, in whatever way, and ends where it ends", () => {
    fc.assert(
      fc.property(contents, options, fc.uint8Array({ maxLength: 20 }), (content, how, after) => {
        const stream = deflateSync(content, how);
        const bytes = Buffer.concat([Buffer.from("before"), stream, after]);
        const made = inflate(bytes, 6, content.length);
        expect([made?.end, made?.content.equals(content)]).toEqual([6 + stream.length, true]);
      }),
      { numRuns: 200 },
    );
  });

  it("that is cut anywhere has not come whole", () => {
    const content = Buffer.from("parent and parent and parent");
    for (const level of [0, 1, 9]) {
      const stream = deflateSync(content, { level });
      for (let bytes = 0; bytes < stream.length; bytes += 1) {
        expect(inflate(stream.subarray(0, bytes), 0, content.length)).toBeUndefined();
      }
    }
  });

  it("with any other byte in it is refused or waited for, or is what Node too makes of it", () => {
    fc.assert(
      fc.property(
        contents,
        options,
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (content, how, at, change) => {
          const changed = Buffer.from(deflateSync(content, how));
          const place = at % changed.length;
          changed[place] = (changed[place] ?? 0) ^ change;
          let made: Buffer | undefined;
          try {
            made = inflate(changed, 0, content.length)?.content;
          } catch (error) {
            expect(error).toBeInstanceOf(RangeError);
          }
          // Node minds the size of the window that is named, which changes nothing here.
          if (made?.equals(content) === false) expect(made.equals(inflateSync(changed))).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("of another size than was said is refused", () => {
    const content = Buffer.from("some content that is long enough to be deflated".repeat(3));
    for (const level of [0, 9]) {
      const stream = deflateSync(content, { level });
      expect(() => inflate(stream, 0, content.length - 1)).toThrow(RangeError);
      expect(() => inflate(stream, 0, content.length + 1)).toThrow(RangeError);
    }
  });

  it.each<{ name: string; bytes: readonly number[] }>([
    { name: "that is gzip", bytes: [0x1f, 0x8b, 8, 0] },
    { name: "that asks for a dictionary", bytes: [0x78, 0xbb, 0, 0, 0, 0] },
    { name: "with a block of no kind", bytes: [0x78, 0x9c, 0b111] },
    { name: "with a stored block whose length is not sure", bytes: [0x78, 0x9c, 1, 1, 0, 1, 0] },
    { name: "that copies from before its beginning", bytes: [0x78, 0x9c, 0b011, 0x02, 0, 0, 0] },
  ])("$name is refused", ({ bytes }) => {
    expect(() => inflate(Buffer.from(bytes), 0, 100)).toThrow(RangeError);
  });

  it("of noise is refused or waited for, and never runs on", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2_000 }), (noise) => {
        let made: unknown;
        try {
          made = inflate(Buffer.concat([Buffer.from([0x78, 0x9c]), noise]), 0, 1_000);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
        expect(made).toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });
});
