import * as z from "zod/mini";
import { isTag } from "./reference.ts";
import { compile, run, sizeOf } from "./tag-regex-program.ts";
import { anyCharacter, namesIn, parseSyntax, type Syntax, SyntaxProblem } from "./tag-regex-syntax.ts";

/**
 * A regular expression over tags. Whoever may label a workload, or push a tag, chooses what it is made of or run on:
 * time is bounded by the size of the expression times the length of the tag, whatever they are.
 */
export interface TagRegex {
  /** Names of its groups. */
  readonly names: readonly string[];
  /** What the named groups captured; a group that took no part is left away. `undefined`: no match. */
  match(tag: string): Readonly<Record<string, string>> | undefined;
}

export type ReadTagRegex =
  | { readonly kind: "regex"; readonly regex: TagRegex }
  | { readonly kind: "invalid"; readonly reason: string };

/** Changes under review as CI tags them, `<change>_<patchset>`, e.g. `482077_3`. */
export const reviewTags = "^\\d+_\\d+$";

const maxLength = 256;
/** Steps that a tag's character can cost at most. */
const maxSteps = 500;

/**
 * Reads a regular expression in JavaScript's syntax, without back references and look-around.
 * @param extent whether it has to match the whole tag, or may match anywhere in it
 */
export function readTagRegex(source: string, extent: "whole" | "anywhere"): ReadTagRegex {
  if (source === "") return { kind: "invalid", reason: "is empty" };
  if (source.length > maxLength) {
    return { kind: "invalid", reason: `is longer than ${maxLength} characters` };
  }
  try {
    const syntax = parseSyntax(source);
    if (sizeOf(syntax) > maxSteps) {
      return { kind: "invalid", reason: `counts too far: written out it has more than ${maxSteps} parts` };
    }
    const program = compile(extended(syntax, extent));
    const match = (tag: string) => (isTag(tag) ? run(program, tag) : undefined);
    return { kind: "regex", regex: { names: namesIn(syntax), match } };
  } catch (problem) {
    if (problem instanceof SyntaxProblem) return { kind: "invalid", reason: problem.message };
    throw problem;
  }
}

/** A regular expression that is looked for anywhere in a tag. */
export const TagRegexText = z.string().check((context) => {
  const read = readTagRegex(context.value, "anywhere");
  if (read.kind === "invalid") {
    context.issues.push({ code: "custom", message: read.reason, input: context.value });
  }
});

/**
 * Whether any of the expressions is found anywhere in a tag. Without expressions none is. Expects texts that
 * `TagRegexText` accepts; others match nothing.
 */
export function tagMatcher(sources: readonly string[]): (tag: string) => boolean {
  const regexes = sources.flatMap((source) => {
    const read = readTagRegex(source, "anywhere");
    return read.kind === "regex" ? [read.regex] : [];
  });
  return (tag) => regexes.some((regex) => regex.match(tag) !== undefined);
}

function extended(syntax: Syntax, extent: "whole" | "anywhere"): Syntax {
  const before: Syntax =
    extent === "whole"
      ? { kind: "edge", at: "start" }
      : { kind: "repeat", part: anyCharacter, min: 0, max: Infinity, lazy: true };
  const after: readonly Syntax[] = extent === "whole" ? [{ kind: "edge", at: "end" }] : [];
  return { kind: "sequence", parts: [before, syntax, ...after] };
}
