import type { Policy } from "../../domain/policy.ts";
import { readTagRegex } from "../../domain/tag-regex.ts";
import { byText, ordered } from "./ordered.ts";
import type { TagRules } from "./tag-rules.ts";

/** Numbers as tags have them: `1042`, or several with dots between them, `2024.11.3`. */
const numbers = /^\d+(?:\.\d+)*$/;

/** The tag whose named group is the highest, of those that the regular expression matches as a whole. */
export function pattern({ regex, group }: Policy & { kind: "pattern" }): TagRules {
  const read = readTagRegex(regex, "whole");
  const captured = (tag: string) => (read.kind === "regex" ? read.regex.match(tag)?.[group] : undefined);
  switch (group) {
    case "number":
      return ordered<readonly bigint[]>({
        read: (tag) => numbersIn(captured(tag)),
        compare: byNumbers,
        wants: "matched by the pattern with a number in its group",
      });
    case "text":
      return ordered<string>({ read: captured, compare: byText, wants: "matched by the pattern" });
    default:
      return group satisfies never;
  }
}

function numbersIn(text: string | undefined): readonly bigint[] | undefined {
  return text !== undefined && numbers.test(text) ? text.split(".").map(BigInt) : undefined;
}

/** The first number that differs decides; of two of which one goes on, the longer is higher. */
function byNumbers(one: readonly bigint[], other: readonly bigint[]): number {
  for (const [index, left] of one.entries()) {
    const right = other[index];
    if (right === undefined) return 1;
    if (left !== right) return left < right ? -1 : 1;
  }
  return one.length - other.length;
}
