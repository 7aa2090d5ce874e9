const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const [openArray, closeArray] = [0x5b, 0x5d];
const [openObject, closeObject] = [0x7b, 0x7d];
const spaces = new Set([0x20, 0x09, 0x0a, 0x0d]);

/** Reads a JSON array that arrives in pieces. */
export interface ElementReader {
  /** Takes the next piece; never throws. */
  read(piece: Buffer): void;
  /** @throws SyntaxError when what came is no array, or an element of it is no JSON */
  end(): void;
}

/**
 * Reads the elements of a JSON array one by one while it arrives: of an answer of 100 MiB, only what is made of its
 * elements stays in memory.
 */
export function elementReader(take: (element: unknown) => void): ElementReader {
  let state: "before" | "within" | "after" = "before";
  let depth = 0;
  let inString = false;
  let isEscaped = false;
  let isFirst = true;
  let element: Buffer[] = [];
  let failure: unknown;

  const finish = (last: boolean) => {
    const text = Buffer.concat(element).toString("utf8");
    element = [];
    if (last && isFirst && text.trim() === "") return;
    isFirst = false;
    take(JSON.parse(text));
  };

  const readPiece = (piece: Buffer) => {
    let from = 0;
    for (let at = 0; at < piece.length; at++) {
      const byte = piece[at] ?? 0;
      if (inString) {
        if (isEscaped) isEscaped = false;
        else if (byte === backslash) isEscaped = true;
        else if (byte === quote) inString = false;
        continue;
      }
      if (state !== "within") {
        if (state === "before" && byte === openArray) {
          state = "within";
          from = at + 1;
        } else if (!spaces.has(byte)) throw new SyntaxError("it is no JSON array");
        continue;
      }
      if (byte === quote) inString = true;
      else if (byte === openArray || byte === openObject) depth++;
      else if (byte === closeObject || (byte === closeArray && depth > 0)) depth--;
      else if (byte === closeArray || (byte === comma && depth === 0)) {
        element.push(piece.subarray(from, at));
        finish(byte === closeArray);
        if (byte === closeArray) state = "after";
        from = at + 1;
      }
    }
    if (state === "within") element.push(Buffer.from(piece.subarray(from)));
  };

  return {
    read(piece) {
      if (failure !== undefined) return;
      try {
        readPiece(piece);
      } catch (error) {
        failure = error;
      }
    },
    end() {
      if (failure !== undefined) throw failure;
      if (state !== "after") throw new SyntaxError("it is no JSON array, or not all of one");
    },
  };
}
