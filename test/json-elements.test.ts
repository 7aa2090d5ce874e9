import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { elementReader } from "../shared/json-elements.ts";

function read(json: Buffer, pieceBytes = 3): unknown[] {
  const elements: unknown[] = [];
  const reader = elementReader((element) => elements.push(element));
  for (let at = 0; at < json.length; at += pieceBytes) {
    // A connection uses its memory again for the next piece.
    const piece = Buffer.from(json.subarray(at, at + pieceBytes));
    reader.read(piece);
    piece.fill(0);
  }
  reader.end();
  return elements;
}

describe("a JSON array that arrives in pieces", () => {
  it("is read to the same elements as at once, however it is spaced and cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.jsonValue()),
        fc.nat(4),
        fc.integer({ min: 1, max: 50 }),
        (values, indent, cut) => {
          const text = JSON.stringify(values, undefined, indent);
          expect(read(Buffer.from(` \n${text}\r\n`), cut)).toEqual(JSON.parse(text));
        },
      ),
    );
  });

  it.each(["", "{}", '"[]"', "[", "[1,]", "[,1]", "[1,,2]", "[1 2]", '["a]', "[[1]", "[1]]", "[1}", "null"])(
    "is refused when it is `%s`",
    (text) => {
      expect(() => read(Buffer.from(text))).toThrow(SyntaxError);
    },
  );
});
