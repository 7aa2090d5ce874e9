import type { Syntax } from "./tag-regex-syntax.ts";

/** What is done next at one character of a tag. */
export type Step =
  | { readonly kind: "one-of"; readonly characters: ReadonlySet<string> }
  /** Goes on in both places; `first` is tried first. */
  | { readonly kind: "fork"; readonly first: number; readonly second: number }
  | { readonly kind: "jump"; readonly to: number }
  | { readonly kind: "open" | "close"; readonly name: string }
  | { readonly kind: "edge"; readonly at: "start" | "end" }
  | { readonly kind: "accept" };

/** Where a group began, and where it ended; by its name. */
interface Marks {
  readonly [name: string]: { readonly start: number; readonly end?: number };
}

/** A way not yet gone: the step to take, at which character of the tag, with what was captured until there. */
interface Way {
  readonly at: number;
  readonly from: number;
  readonly marks: Marks;
}

/** How many steps there are once every repetition is written out; even nothing counts as one, so that none is free. */
export function sizeOf(syntax: Syntax): number {
  switch (syntax.kind) {
    case "one-of":
    case "edge":
      return 1;
    case "named":
      return 2 + sizeOf(syntax.part);
    case "sequence":
      return Math.max(
        1,
        syntax.parts.reduce((sum, part) => sum + sizeOf(part), 0),
      );
    case "either":
      return syntax.options.reduce((sum, option) => sum + 2 + sizeOf(option), 0);
    case "repeat": {
      const once = sizeOf(syntax.part);
      const more = syntax.max === Infinity ? once + 2 : (syntax.max - syntax.min) * (once + 1);
      return Math.max(1, syntax.min * once + more);
    }
    default:
      return syntax satisfies never;
  }
}

/** Writes an expression out as steps. Takes as long as `sizeOf` says: ask that first. */
export function compile(whole: Syntax): readonly Step[] {
  const program: Step[] = [];
  /** Two ways on, the nearer one first unless `lazy`; the far end is known once what lies between is written. */
  const fork = (lazy: boolean): ((far: number) => void) => {
    const at = program.push({ kind: "jump", to: -1 }) - 1;
    return (far) => {
      program[at] = { kind: "fork", first: lazy ? far : at + 1, second: lazy ? at + 1 : far };
    };
  };
  const write = (syntax: Syntax): void => {
    switch (syntax.kind) {
      case "one-of":
      case "edge":
        program.push(syntax);
        return;
      case "named":
        program.push({ kind: "open", name: syntax.name });
        write(syntax.part);
        program.push({ kind: "close", name: syntax.name });
        return;
      case "sequence":
        for (const part of syntax.parts) write(part);
        return;
      case "either": {
        const ends: number[] = [];
        for (const option of syntax.options.slice(0, -1)) {
          const land = fork(false);
          write(option);
          ends.push(program.push({ kind: "jump", to: -1 }) - 1);
          land(program.length);
        }
        for (const option of syntax.options.slice(-1)) write(option);
        for (const end of ends) program[end] = { kind: "jump", to: program.length };
        return;
      }
      case "repeat": {
        for (let count = 0; count < syntax.min; count += 1) write(syntax.part);
        if (syntax.max === Infinity) {
          const start = program.length;
          const land = fork(syntax.lazy);
          write(syntax.part);
          program.push({ kind: "jump", to: start });
          land(program.length);
          return;
        }
        const lands: ((far: number) => void)[] = [];
        for (let count = syntax.min; count < syntax.max; count += 1) {
          lands.push(fork(syntax.lazy));
          write(syntax.part);
        }
        for (const land of lands) land(program.length);
        return;
      }
      default:
        syntax satisfies never;
    }
  };
  write(whole);
  program.push({ kind: "accept" });
  return program;
}

/**
 * Goes the ways of the program in the order in which a backtracking engine would, and so captures the same, but never
 * comes twice to one step at one character: what failed there once would fail again, since no step looks back.
 */
export function run(program: readonly Step[], tag: string): Readonly<Record<string, string>> | undefined {
  const places = tag.length + 1;
  const seen = new Uint8Array(program.length * places);
  const ways: Way[] = [{ at: 0, from: 0, marks: {} }];
  for (let way = ways.pop(); way !== undefined; way = ways.pop()) {
    const { at, from, marks } = way;
    const step = program[at];
    if (step === undefined || seen[at * places + from] === 1) continue;
    seen[at * places + from] = 1;
    switch (step.kind) {
      case "accept":
        return capturedIn(tag, marks);
      case "one-of":
        if (step.characters.has(tag.charAt(from))) ways.push({ at: at + 1, from: from + 1, marks });
        break;
      case "edge":
        if (from === (step.at === "start" ? 0 : tag.length)) ways.push({ at: at + 1, from, marks });
        break;
      case "open":
        ways.push({ at: at + 1, from, marks: { ...marks, [step.name]: { start: from } } });
        break;
      case "close": {
        const start = marks[step.name]?.start ?? from;
        ways.push({ at: at + 1, from, marks: { ...marks, [step.name]: { start, end: from } } });
        break;
      }
      case "jump":
        ways.push({ at: step.to, from, marks });
        break;
      case "fork":
        ways.push({ at: step.second, from, marks }, { at: step.first, from, marks });
        break;
      default:
        step satisfies never;
    }
  }
  return undefined;
}

function capturedIn(tag: string, marks: Marks): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(marks).flatMap(([name, { start, end }]) =>
      end === undefined ? [] : [[name, tag.slice(start, end)]],
    ),
  );
}
