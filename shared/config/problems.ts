import type * as z from "zod/mini";
import { descriptionAt, keysAt, optionsAt } from "./json-schema.ts";
import { nearest } from "./nearest.ts";
import { type Path, valueAt } from "./path.ts";
import { isPlanned } from "./planned.ts";

/** One thing that is wrong, where, and how to mend it. Never holds a value of the file. */
export interface Problem {
  readonly path: Path;
  readonly text: string;
}

type Issue = z.core.$ZodIssue;
/** zod's text for an issue whose schema says nothing of its own. */
const unworded = "Invalid input";
/** Keys of the configuration are words; anything else may be a value that ended up before a colon. */
const keyForm = /^[A-Za-z]{1,40}$/;

/** Puts what zod found into sentences. `raw` is the file as it was read, `schema` its JSON Schema. */
export function problemsOf(issues: readonly Issue[], raw: unknown, schema: unknown): readonly Problem[] {
  return issues.flatMap((issue) => problemOf(issue, pathOf(issue.path), raw, schema));
}

/** Prints a path as it would be read aloud from the file, e.g. `targets[1].host` or `headers["X-Team"]`. */
export function printPath(path: Path): string {
  const text = path
    .map((part) => {
      if (typeof part === "number") return `[${part}]`;
      return /^[A-Za-z_]\w*$/.test(part) ? `.${part}` : `[${JSON.stringify(part)}]`;
    })
    .join("");
  return text.startsWith(".") ? text.slice(1) : text;
}

function problemOf(issue: Issue, path: Path, raw: unknown, schema: unknown): readonly Problem[] {
  if (issue.code === "unrecognized_keys") {
    const known = keysAt(schema, path, raw);
    return issue.keys.map((key) => unknownKey(key, path, known));
  }
  if (issue.code === "invalid_union" && issue.errors.length > 0) {
    const branch = closestBranch(issue.errors);
    if (branch !== undefined) {
      return branch.flatMap((inner) => problemOf(inner, [...path, ...pathOf(inner.path)], raw, schema));
    }
  }
  const value = valueAt(raw, path);
  if (value === undefined) return [{ path, text: missing(schema, path, raw) }];
  if (value === null) return [{ path, text: "is empty; give it a value or leave the key away" }];
  if (issue.message !== unworded) return [{ path, text: issue.message }];
  return [{ path, text: worded(issue, path, value, raw, schema) }];
}

function unknownKey(key: string, parent: Path, known: readonly string[]): Problem {
  if (!keyForm.test(key)) {
    return {
      path: parent,
      text: "has an unknown key that is no plain word; is a space missing after a colon?",
    };
  }
  const path = [...parent, key];
  if (isPlanned(path)) return { path, text: "not in this version; leave it away" };
  const meant = nearest(key, known);
  if (meant !== undefined) return { path, text: `unknown key; did you mean \`${meant}\`?` };
  return { path, text: known.length === 0 ? "unknown key" : `unknown key; known here: ${known.join(", ")}` };
}

function worded(issue: Issue, path: Path, value: unknown, raw: unknown, schema: unknown): string {
  const options = optionsAt(schema, path, raw);
  switch (issue.code) {
    case "invalid_value":
    case "invalid_union":
      return options.length === 0 ? "has a form that does not fit here" : notAnOption(options, path, value);
    case "invalid_type":
      return `is ${kindOf(value)}; expected ${expectations[issue.expected] ?? "something else"}`;
    case "too_small":
      return `is too small or too short; expected at least ${issue.minimum}`;
    case "too_big":
      return `is too large or too long; expected at most ${issue.maximum}`;
    case "not_multiple_of":
      return `expected a multiple of ${issue.divisor}`;
    case "invalid_format":
      return "has not the form expected here";
    case "invalid_key":
      return (
        issue.issues.find(({ message }) => message !== unworded)?.message ?? "is no key that can stand here"
      );
    case "invalid_element":
    case "unrecognized_keys":
    case "custom":
      return "does not fit here";
    default:
      return issue satisfies never;
  }
}

function missing(schema: unknown, path: Path, raw: unknown): string {
  const options = optionsAt(schema, path, raw);
  if (options.length > 0) return `is missing; say ${listed(options)}`;
  const description = descriptionAt(schema, path, raw);
  return description === undefined ? "is missing" : `is missing: ${description}`;
}

function notAnOption(options: readonly string[], path: Path, value: unknown): string {
  if (typeof value !== "string") return `is ${kindOf(value)}; expected ${listed(options)}`;
  if (isPlanned(path, value)) return `\`${value}\` is not in this version; use ${listed(options)}`;
  const meant = nearest(value, options);
  return meant === undefined
    ? `is not known; expected ${listed(options)}`
    : `is not known; did you mean \`${meant}\`? Expected ${listed(options)}`;
}

/** The alternative that the author most likely meant: one whose outer shape fits, with the fewest mistakes inside. */
function closestBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  return branches
    .filter((issues) => issues.length > 0 && issues.every(isInside))
    .toSorted((left, right) => left.length - right.length)[0];
}

function isInside(issue: Issue): boolean {
  return issue.path.length > 0 || issue.code === "unrecognized_keys" || issue.message !== unworded;
}

const expectations: Readonly<Record<string, string>> = {
  string: "text (in quotes, if it looks like a number)",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a mapping (`key: value`)",
  record: "a mapping (`key: value`)",
};

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  if (typeof value === "string") return "text";
  return typeof value === "boolean" ? "true or false" : "a number";
}

function listed(options: readonly string[]): string {
  if (options.length < 2) return options.map(quoted).join("");
  return `${options.slice(0, -1).map(quoted).join(", ")} or ${quoted(options.at(-1) ?? "")}`;
}

function quoted(text: string): string {
  return `\`${text}\``;
}

function pathOf(path: readonly PropertyKey[]): Path {
  return path.map((part) => (typeof part === "symbol" ? String(part) : part));
}
