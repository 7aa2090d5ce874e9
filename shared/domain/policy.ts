import * as z from "zod/mini";
import { readTagRegex } from "./tag-regex.ts";
import { rangeProblem, tidyRange } from "./version-range.ts";

/**
 * How a container follows its image. Plain data: recorded and printed as it is.
 * `channel` is never written by anybody: who runs a channel's tag follows that channel.
 */
export type Policy =
  | { readonly kind: "tag" }
  | { readonly kind: "none" }
  | { readonly kind: "commit" }
  | { readonly kind: "channel" }
  | { readonly kind: "semver"; readonly range: string }
  | { readonly kind: "pattern"; readonly regex: string; readonly group: "number" | "text" };

export type ParsedPolicy =
  | { readonly kind: "policy"; readonly policy: Policy }
  /** `reason`: the rest of a sentence, without the text itself, e.g. `is empty; write …`. */
  | { readonly kind: "invalid"; readonly reason: string };

const forms = "`tag`, `none`, `commit`, `semver`, `semver:RANGE` or `pattern:REGEX`";

/** What other tools call it. */
const elsewhere: Readonly<Record<string, string>> = {
  all: "semver",
  major: "semver",
  minor: "semver:^1.4",
  patch: "semver:~1.4.2",
  force: "tag",
  digest: "tag",
  latest: "tag",
  regex: "pattern:REGEX",
  regexp: "pattern:REGEX",
  glob: "pattern:REGEX",
  numerical: "pattern:^build-(?<number>\\d+)$",
  alphabetical: "pattern:^(?<text>.+)$",
};

/** Reads a policy as labels and the configuration write it: `tag`, `semver:^1.4`, `pattern:^build-(?<number>\d+)$`. */
export function parsePolicy(text: string): ParsedPolicy {
  const all = text.trim();
  const colon = all.indexOf(":");
  const word = colon < 0 ? all : all.slice(0, colon).trimEnd();
  const rest = colon < 0 ? undefined : all.slice(colon + 1).trim();
  switch (word) {
    case "tag":
    case "none":
    case "commit":
      return rest === undefined
        ? { kind: "policy", policy: { kind: word } }
        : invalid(`has something behind \`${word}\`, which stands alone`);
    case "channel":
      return invalid(
        "is never written: a workload follows a channel by running the channel's tag, e.g. `repository:prod`",
      );
    case "semver":
      return parseSemver(rest ?? "*");
    case "pattern":
      return parsePattern(rest ?? "");
    default:
      return invalid(unknown(word));
  }
}

/** Prints a policy as `parsePolicy` reads it; `channel`, which cannot be written, by its name. */
export function printPolicy(policy: Policy): string {
  switch (policy.kind) {
    case "tag":
    case "none":
    case "commit":
    case "channel":
      return policy.kind;
    case "semver":
      return policy.range === "*" ? "semver" : `semver:${policy.range}`;
    case "pattern":
      return `pattern:${policy.regex}`;
    default:
      return policy satisfies never;
  }
}

/** A policy as text in the file, as `Policy` in the configuration. */
export const PolicyText = z.pipe(
  z.string().check((context) => {
    const parsed = parsePolicy(context.value);
    if (parsed.kind === "invalid") {
      context.issues.push({ code: "custom", message: parsed.reason, input: context.value });
    }
  }),
  z.transform((text): Policy => {
    const parsed = parsePolicy(text);
    return parsed.kind === "policy" ? parsed.policy : { kind: "none" };
  }),
);

function parseSemver(range: string): ParsedPolicy {
  if (range === "") return invalid("has no range behind `semver:`; write `semver` alone for every version");
  const problem = rangeProblem(range);
  return problem === undefined
    ? { kind: "policy", policy: { kind: "semver", range: tidyRange(range) } }
    : invalid(`has a range that ${problem}`);
}

function parsePattern(regex: string): ParsedPolicy {
  if (regex === "") return invalid("has no regular expression; write `pattern:^build-(?<number>\\d+)$`");
  const read = readTagRegex(regex, "whole");
  if (read.kind === "invalid") return invalid(`has a regular expression that ${read.reason}`);
  const [group, ...more] = read.regex.names;
  if (more.length > 0) return invalid("has more than one named group; one alone gives the order");
  if (group !== "number" && group !== "text") {
    return invalid("has no group that orders tags; put `(?<number>…)` or `(?<text>…)` around what counts");
  }
  return { kind: "policy", policy: { kind: "pattern", regex, group } };
}

function unknown(word: string): string {
  if (word === "") return `is empty; write ${forms}`;
  const other = Object.hasOwn(elsewhere, word.toLowerCase()) ? elsewhere[word.toLowerCase()] : undefined;
  if (other !== undefined) return `is what others call it; write \`${other}\``;
  if (/^[v\d^~<>=*]/.test(word)) return "seems to be a range; write `semver:` before it";
  return `is no policy; write ${forms}`;
}

function invalid(reason: string): ParsedPolicy {
  return { kind: "invalid", reason };
}
