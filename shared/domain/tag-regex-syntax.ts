/** Every character that a tag can have. */
export const tagCharacters: readonly string[] = [
  ..."abcdefghijklmnopqrstuvwxyz",
  ..."ABCDEFGHIJKLMNOPQRSTUVWXYZ",
  ..."0123456789",
  ..."_.-",
];

/** A regular expression over tags, taken apart. */
export type Syntax =
  | { readonly kind: "one-of"; readonly characters: ReadonlySet<string> }
  | { readonly kind: "sequence"; readonly parts: readonly Syntax[] }
  | { readonly kind: "either"; readonly options: readonly Syntax[] }
  | {
      readonly kind: "repeat";
      readonly part: Syntax;
      readonly min: number;
      /** `Infinity`: without end. */
      readonly max: number;
      readonly lazy: boolean;
    }
  | { readonly kind: "named"; readonly name: string; readonly part: Syntax }
  | { readonly kind: "edge"; readonly at: "start" | "end" };

/** Why a text is no regular expression over tags. Never leaves this file's callers: they make it a reason. */
export class SyntaxProblem extends Error {}

export const anyCharacter: Syntax = { kind: "one-of", characters: new Set(tagCharacters) };

const groupStart = /^\((?:\?(?::|<([A-Za-z_$][\w$]*)>))?/;
const characterClass = /^\[(?:[^\]\\]|\\.)*\]/;
const classEscape = /^\\[dDwWsS]/;
const plainEscape = /^\\([^A-Za-z0-9])/;
const quantifier = /^(?:([*+?])|\{(\d{1,4})(?:(,)(\d{1,4})?)?\})(\??)/;

/**
 * Takes a regular expression apart, in JavaScript's syntax without what needs more than one look at each character:
 * back references, look-around, word boundaries.
 * @throws SyntaxProblem saying what is wrong, without the text itself
 */
export function parseSyntax(source: string): Syntax {
  let rest = source;

  const take = (form: RegExp): RegExpExecArray | undefined => {
    const found = form.exec(rest);
    if (found === null) return undefined;
    rest = rest.slice(found[0].length);
    return found;
  };

  const either = (): Syntax => {
    const options = [sequence()];
    while (take(/^\|/) !== undefined) options.push(sequence());
    return options.length === 1 && options[0] !== undefined ? options[0] : { kind: "either", options };
  };

  const sequence = (): Syntax => {
    const parts: Syntax[] = [];
    while (rest !== "" && !/^[|)]/.test(rest)) parts.push(repeated(single()));
    return { kind: "sequence", parts };
  };

  const repeated = (part: Syntax): Syntax => {
    const found = take(quantifier);
    if (found === undefined) return part;
    const [, sign, least = "", comma, most, lazy] = found;
    if (part.kind === "edge") throw new SyntaxProblem("repeats `^` or `$`");
    if (namesIn(part).length > 0)
      throw new SyntaxProblem("repeats a named group; put the group around the repetition");
    const min = sign === undefined ? Number(least) : sign === "+" ? 1 : 0;
    const counted = most !== undefined ? Number(most) : comma !== undefined ? Infinity : min;
    const max = sign === undefined ? counted : sign === "?" ? 1 : Infinity;
    if (max < min) throw new SyntaxProblem("has a repetition `{n,m}` whose `m` is less than its `n`");
    if (max > min && canBeEmpty(part)) {
      throw new SyntaxProblem("repeats what may be empty already; leave one of the two away");
    }
    return { kind: "repeat", part, min, max, lazy: lazy !== "" };
  };

  const single = (): Syntax => {
    if (take(/^\^/) !== undefined) return { kind: "edge", at: "start" };
    if (take(/^\$/) !== undefined) return { kind: "edge", at: "end" };
    if (rest.startsWith("(")) return group();
    const set = take(characterClass) ?? take(classEscape) ?? take(/^\./);
    if (set !== undefined) return { kind: "one-of", characters: members(set[0]) };
    return { kind: "one-of", characters: new Set([literal()]) };
  };

  const group = (): Syntax => {
    if (/^\(\?(?:[=!]|<[=!])/.test(rest))
      throw new SyntaxProblem("looks ahead or behind; that is not supported");
    const name = take(groupStart)?.[1];
    if (rest.startsWith("?")) throw new SyntaxProblem("has a kind of group that is not supported");
    const part = either();
    if (take(/^\)/) === undefined) throw new SyntaxProblem("has a `(` without its `)`");
    return name === undefined ? part : { kind: "named", name, part };
  };

  const literal = (): string => {
    const escaped = take(plainEscape)?.[1];
    if (escaped === undefined && rest.startsWith("\\")) {
      throw new SyntaxProblem(
        "has an escape other than \\d \\w \\s \\D \\W \\S and that of a sign, e.g. \\.",
      );
    }
    const character = escaped ?? rest.charAt(0);
    if (escaped === undefined) rest = rest.slice(1);
    if (escaped === undefined && "*+?{".includes(character)) {
      throw new SyntaxProblem("repeats nothing: *, +, ? and {n} stand behind what they repeat");
    }
    if (escaped === undefined && character === "[") throw new SyntaxProblem("has a `[` without its `]`");
    if (!tagCharacters.includes(character)) {
      throw new SyntaxProblem("wants a character that no tag has: tags are made of A-Z a-z 0-9 _ . -");
    }
    return character;
  };

  const all = either();
  if (rest !== "") throw new SyntaxProblem("has a `)` without its `(`");
  return all;
}

/** The names of the groups, each as often as it stands there. */
export function namesIn(syntax: Syntax): readonly string[] {
  switch (syntax.kind) {
    case "named":
      return [syntax.name, ...namesIn(syntax.part)];
    case "repeat":
      return namesIn(syntax.part);
    case "sequence":
      return syntax.parts.flatMap(namesIn);
    case "either":
      return syntax.options.flatMap(namesIn);
    case "one-of":
    case "edge":
      return [];
    default:
      return syntax satisfies never;
  }
}

/** Whether it matches without taking a character. JavaScript treats repetitions of that in a way of its own. */
function canBeEmpty(syntax: Syntax): boolean {
  switch (syntax.kind) {
    case "one-of":
      return false;
    case "edge":
      return true;
    case "named":
      return canBeEmpty(syntax.part);
    case "repeat":
      return syntax.min === 0 || canBeEmpty(syntax.part);
    case "sequence":
      return syntax.parts.every(canBeEmpty);
    case "either":
      return syntax.options.some(canBeEmpty);
    default:
      return syntax satisfies never;
  }
}

/** What a class such as `[a-f\d]` means is JavaScript's own matter: each character of tags is tried. */
function members(set: string): ReadonlySet<string> {
  try {
    const one = new RegExp(`^${set}$`);
    return new Set(tagCharacters.filter((character) => one.test(character)));
  } catch {
    throw new SyntaxProblem(
      "has a class `[…]` that JavaScript does not read, e.g. with a range that runs backwards",
    );
  }
}
