/**
 * Ranges of versions as npm writes them: `^1.4`, `~1.4.2`, `1.x`, `>=1.4 <3`, `1.2 - 2.0`, `^1 || ^2`.
 * Whether a text is one is told here, without the package that knows what it means: every function reads the
 * configuration, and only those that deploy compare versions. https://github.com/npm/node-semver#ranges
 */

const wild = "[xX*]";
/** Numbers that a double holds exactly; npm refuses larger ones in versions. */
const numeric = "(?:0|[1-9][0-9]{0,14})";
const identifier = `(?:${numeric}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)`;
/** The source of a regular expression for one whole version, e.g. `1.4.0` or `2.0.0-rc.1`, without build metadata. */
export const exactVersion = `${numeric}\\.${numeric}\\.${numeric}(?:-${identifier}(?:\\.${identifier})*)?`;
const partials = [
  `${wild}(?:\\.${wild}){0,2}`,
  `${numeric}(?:\\.${wild}){0,2}`,
  `${numeric}\\.${numeric}(?:\\.${wild})?`,
  exactVersion,
];
const partial = `v?(?:${partials.join("|")})`;
const end = new RegExp(`^${partial}$`);
const comparator = new RegExp(`^(?:[<>]=?|=|~>?|\\^)?${partial}$`);
const maxLength = 256;

/** What is wrong with a range, as the rest of a sentence; `undefined`: nothing. */
export function rangeProblem(range: string): string | undefined {
  if (range.length > maxLength) return `is longer than ${maxLength} characters`;
  if (range.includes(",")) return "has a comma; comparators are separated by spaces: `>=1.4 <3`";
  if (range.includes("+")) return "has build metadata (`+…`), which has no order";
  const parts = range.split("||").map((part) => part.trim());
  if (parts.includes("")) return "has nothing on one side of `||`";
  return parts.every(isPart) ? undefined : "is no npm range; write for example `^1.4`, `1.x` or `>=1.4 <3`";
}

/** A range with single spaces, none behind an operator: ranges that differ in nothing else print alike. */
export function tidyRange(range: string): string {
  return range
    .split("||")
    .map((part) => glued(part.trim()))
    .join(" || ");
}

/** Whether a range that has no problem names a pre-release, e.g. `>=2.0.0-0`. */
export function namesPreRelease(range: string): boolean {
  return /[0-9]-[0-9A-Za-z-]/.test(range);
}

function isPart(part: string): boolean {
  const ends = part.split(/\s-\s/).map((each) => each.trim());
  if (ends.length > 1) return ends.length === 2 && ends.every((each) => end.test(each));
  return glued(part)
    .split(" ")
    .every((each) => comparator.test(each));
}

function glued(part: string): string {
  return part.replace(/\s+/g, " ").replace(/([<>=~^]) (?=[^-])/g, "$1");
}
