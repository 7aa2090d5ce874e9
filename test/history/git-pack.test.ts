import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { applyDelta } from "../../shared/history/git/delta.ts";
import { PackError, type PackLimits, packLimits, packReader } from "../../shared/history/git/pack.ts";
import { flushPacket, packet, packetReader } from "../../shared/history/git/pkt-line.ts";
import { type PackedObject, writeDelta, writePack } from "../doubles/pack-writer.ts";

/** Feeds bytes cut at these places. */
function* pieces(bytes: Buffer, cuts: readonly number[]): Generator<Buffer> {
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b);
  for (let index = 1; index < at.length; index += 1) yield bytes.subarray(at[index - 1], at[index]);
}

function read(
  pack: Buffer,
  options: { cuts?: readonly number[]; limits?: Partial<PackLimits>; format?: "sha1" | "sha256" } = {},
) {
  const commits: Buffer[] = [];
  const reader = packReader(
    options.format ?? "sha1",
    (commit) => {
      commits.push(commit);
    },
    { ...packLimits, ...options.limits },
  );
  for (const piece of pieces(pack, options.cuts ?? [])) reader.push(piece);
  return { commits, whole: reader.isWhole(), count: reader.count(), unread: reader.isUnread() };
}

const commit = (text: string): PackedObject => ({ type: "commit", content: Buffer.from(text) });
const cuts = fc.array(fc.nat(), { maxLength: 8 });
const contents = fc.uint8Array({ minLength: 1, maxLength: 400 }).map((bytes) => Buffer.from(bytes));

describe("a packet", () => {
  it("is read whatever the pieces it comes in, special ones too", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 300 }), { maxLength: 6 }), cuts, (lines, at) => {
        const bytes = Buffer.from(`${lines.map(packet).join("")}0001${flushPacket}0002`);
        const reader = packetReader();
        const read = [...pieces(bytes, at)].flatMap((piece) => reader.push(piece));
        expect(read.map((each) => (each.kind === "data" ? each.data.toString() : each.kind))).toEqual([
          ...lines.map((line) => `${line}\n`),
          "delimiter",
          "flush",
          "response-end",
        ]);
        expect(reader.isBetween()).toBe(true);
      }),
    );
  });

  it.each(["0003", "fff1", "<htm", "00 5", "+001"])("has a length that can be one: %s is none", (bytes) => {
    expect(() => packetReader().push(Buffer.from(bytes))).toThrow(RangeError);
  });

  it("that has not come whole is not there yet", () => {
    const reader = packetReader();
    expect(reader.push(Buffer.from("0009do"))).toEqual([]);
    expect(reader.isBetween()).toBe(false);
  });
});

describe("a delta", () => {
  it("makes what it was made for", () => {
    fc.assert(
      fc.property(contents, fc.nat(), fc.nat(), contents, (base, first, last, insert) => {
        const keepFirst = first % (base.length + 1);
        const keepLast = last % (base.length + 1);
        const made = Buffer.concat([
          base.subarray(0, keepFirst),
          insert,
          base.subarray(base.length - keepLast),
        ]);
        expect(applyDelta(base, writeDelta(base, keepFirst, insert, keepLast), 10_000)).toEqual(made);
      }),
    );
  });

  it("copies 64 KiB where it names no length", () => {
    const base = Buffer.alloc(0x10000, "ab");
    expect(applyDelta(base, Buffer.from([0x80, 0x80, 0x04, 0x80, 0x80, 0x04, 0x80]), 100_000)).toEqual(base);
  });

  it.each<{ name: string; bytes: readonly number[] }>([
    { name: "of a base of another size", bytes: [5, 1, 1, 65] },
    { name: "that is empty", bytes: [] },
    { name: "that copies beyond its base", bytes: [4, 2, 0x91, 3, 2] },
    { name: "that makes more than it says", bytes: [4, 1, 2, 65, 66] },
    { name: "that makes less than it says", bytes: [4, 3, 1, 65] },
    { name: "whose text is cut off", bytes: [4, 3, 3, 65] },
    { name: "with an instruction that means nothing", bytes: [4, 1, 0, 1, 65] },
    { name: "that makes more than is allowed", bytes: [4, 0xff, 0xff, 0x7f, 1, 65] },
    { name: "of a size beyond all limits", bytes: [4, ...Array.from({ length: 12 }, () => 0xff)] },
  ])("$name is refused", ({ bytes }) => {
    expect(() => applyDelta(Buffer.from("base"), Buffer.from(bytes), 1_000)).toThrow(RangeError);
  });
});

describe("a pack of commits", () => {
  it.each(["sha1", "sha256"] as const)("is read in whatever pieces it comes, with %s", (format) => {
    fc.assert(
      fc.property(fc.array(contents, { maxLength: 6 }), cuts, (texts, at) => {
        const pack = writePack(
          texts.map((content) => ({ type: "commit" as const, content })),
          format,
        );
        expect(read(pack, { cuts: at, format })).toEqual({
          commits: texts,
          whole: true,
          count: texts.length,
          unread: false,
        });
      }),
    );
  });

  it("is read byte by byte", () => {
    const pack = writePack([commit("tree 1\n"), commit("x".repeat(5_000))]);
    const { commits, whole } = read(pack, { cuts: Array.from(pack.keys()) });
    expect([commits.map(String), whole]).toEqual([["tree 1\n", "x".repeat(5_000)], true]);
  });

  it("may have commits that are told by their difference to others, in a chain", () => {
    const base = Buffer.from(`tree ${"1".repeat(40)}\nparent ${"2".repeat(40)}\nauthor Ada\n\nfirst\n`);
    const second = Buffer.from(`tree ${"1".repeat(40)}\nparent ${"3".repeat(40)}\nauthor Ada\n\nfirst\n`);
    const third = Buffer.from(`tree ${"1".repeat(40)}\nparent ${"3".repeat(40)}\nauthor Ada\n\nthird\n`);
    const id = createHash("sha1").update(`commit ${second.length}\0`).update(second).digest("hex");
    const filler = Array.from({ length: 200 }, (_, index) => commit(`${index} ${"y".repeat(90)}`));
    const objects: readonly PackedObject[] = [
      { type: "commit", content: base },
      ...filler,
      {
        type: "offset-delta",
        back: filler.length + 1,
        delta: writeDelta(base, 53, Buffer.from("3".repeat(40)), base.length - 93),
      },
      {
        type: "ref-delta",
        baseId: id,
        delta: writeDelta(second, second.length - 6, Buffer.from("third\n"), 0),
      },
      { type: "offset-delta", back: 1, delta: writeDelta(third, third.length, Buffer.from("!"), 0) },
    ];
    const { commits, whole } = read(writePack(objects));
    expect(whole).toBe(true);
    expect(commits.slice(-3).map(String)).toEqual([String(second), String(third), `${third}!`]);
  });

  it("of nothing is whole once its checksum has come", () => {
    const pack = writePack([]);
    expect(read(pack)).toMatchObject({ count: 0, whole: true });
    expect(read(pack.subarray(0, -1))).toMatchObject({ count: 0, whole: false });
  });

  it("that is cut anywhere is not whole, and no error", () => {
    const pack = writePack([commit("one"), commit("two")]);
    for (let bytes = 0; bytes < pack.length; bytes += 1) {
      expect(read(pack.subarray(0, bytes)).whole).toBe(false);
    }
  });

  it("with any other byte in it is refused, or was never whole", () => {
    const pack = writePack([commit("tree 1\nparent 2\n"), commit("tree 2\n")]);
    fc.assert(
      fc.property(fc.nat(pack.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Buffer.from(pack);
        changed[at] = (changed[at] ?? 0) ^ change;
        let whole = false;
        try {
          ({ whole } = read(changed));
        } catch (error) {
          expect(error).toBeInstanceOf(PackError);
        }
        expect(whole).toBe(false);
      }),
    );
  });

  it("is left unread where it has more commits than are to be read, whatever they are", () => {
    const pack = writePack([commit("one"), { type: "blob", content: Buffer.from("no commit") }]);
    expect(read(pack, { limits: { readUpTo: 1 } })).toEqual({
      commits: [],
      whole: false,
      count: 2,
      unread: true,
    });
  });

  it.each<{ name: string; pack: Buffer; limits?: Partial<PackLimits>; kind: PackError["kind"] }>([
    { name: "that is none", pack: Buffer.from("<!DOCTYPE html>"), kind: "broken" },
    {
      name: "of another version",
      pack: Buffer.from("PACK\0\0\0\x04\0\0\0\0", "latin1"),
      kind: "broken",
    },
    {
      name: "with a tree in it",
      pack: writePack([{ type: "tree", content: Buffer.from("t") }]),
      kind: "broken",
    },
    {
      name: "with a file in it",
      pack: writePack([{ type: "blob", content: Buffer.from("b") }]),
      kind: "broken",
    },
    {
      name: "with a tag in it",
      pack: writePack([{ type: "tag", content: Buffer.from("t") }]),
      kind: "broken",
    },
    {
      name: "with a difference to what is not in it",
      pack: writePack([{ type: "ref-delta", baseId: "1".repeat(40), delta: Buffer.from([1, 1, 1, 65]) }]),
      kind: "broken",
    },
    {
      name: "with a difference that cannot be",
      pack: writePack([commit("one"), { type: "offset-delta", back: 1, delta: Buffer.from([9, 1, 1, 65]) }]),
      kind: "broken",
    },
    {
      name: "that goes on after its end",
      pack: Buffer.concat([writePack([]), Buffer.from("x")]),
      kind: "broken",
    },
    {
      name: "with a commit that is too large",
      pack: writePack([commit("x".repeat(101))]),
      limits: { maxObjectBytes: 100 },
      kind: "too-large",
    },
    {
      name: "of more than is kept",
      pack: writePack(Array.from({ length: 10 }, () => commit("x".repeat(100)))),
      limits: { maxKeptBytes: 1_000 },
      kind: "too-large",
    },
  ])("$name is refused", ({ pack, limits = {}, kind }) => {
    let refused: unknown;
    try {
      read(pack, { limits });
    } catch (error) {
      refused = error;
    }
    expect(refused).toMatchObject({ kind });
  });
});
