import { createHash } from "node:crypto";
import { normaliseHost } from "../domain/reference.ts";
import { ConfigError } from "../errors.ts";
import { normaliseGitHost } from "../history/config.ts";
import { parseDuration } from "./duration.ts";
import { imageProblems } from "./image-problems.ts";
import { listAt, type Path, valueAt } from "./path.ts";
import { type Problem, printPath, problemsOf } from "./problems.ts";
import { Config, configJsonSchema } from "./schema.ts";
import { templateProblem } from "./template.ts";

/** Workload addresses are `target/name`. */
const targetName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/**
 * Reads the text of a `landfall.yaml`. Touches neither environment nor files.
 * @throws ConfigError with every problem, by key and line, without values
 */
export async function parseConfig(text: string): Promise<Config> {
  const { readYaml } = await import("./yaml.ts");
  const { value, lineOf } = readYaml(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ConfigError(["the file must be a mapping (`key: value`) that has at least `follow`"]);
  }
  const parsed = Config.safeParse(value);
  const problems: readonly Problem[] = [
    ...(parsed.success ? [] : problemsOf(parsed.error.issues, value, configJsonSchema())),
    ...crossProblems(value),
  ];
  if (parsed.success && problems.length === 0) return parsed.data;
  const lines = problems.map((problem) => {
    const line = lineOf(problem.path);
    const where = line === undefined ? "" : ` (line ${line})`;
    return { line: line ?? 0, text: `${printPath(problem.path)}${where}: ${problem.text}` };
  });
  throw new ConfigError(lines.toSorted((left, right) => left.line - right.line).map((each) => each.text));
}

/** 12 hex digits that are the same for configurations that mean the same: order of keys, comments, defaults spelled out. */
export function configHash(config: Config): string {
  return createHash("sha256").update(canonical(config)).digest("hex").slice(0, 12);
}

/** Every text of a configuration with its path. */
export function* textsOf(value: unknown, path: Path = []): Generator<{ path: Path; text: string }> {
  if (typeof value === "string") yield { path, text: value };
  else if (Array.isArray(value))
    for (const [index, item] of value.entries()) yield* textsOf(item, [...path, index]);
  else if (typeof value === "object" && value !== null) {
    for (const [key, item] of Object.entries(value)) yield* textsOf(item, [...path, key]);
  }
}

/** What no single key shows. Looks at the file as it was read, so that it is told together with all the rest. */
function crossProblems(raw: unknown): readonly Problem[] {
  return [
    ...targetNames(raw),
    ...repeated(raw, "targets", "name", (name) => name),
    ...repeated(raw, "registries", "host", normaliseHost),
    ...repeated(raw, "git", "host", normaliseGitHost),
    ...repeated(raw, "images", "image", (image) => image),
    ...verifyTimes(raw),
    ...imageProblems(raw),
    ...freezeTargets(raw),
    ...templates(raw),
  ];
}

function targetNames(raw: unknown): readonly Problem[] {
  return listAt(raw, ["targets"]).flatMap((item, index) => {
    const name = valueAt(item, ["name"]);
    if (typeof name !== "string" || targetName.test(name)) return [];
    const text = name.includes("/")
      ? "has a `/`, which separates a target from its workloads; use `-`"
      : "use 1 to 63 letters, digits and . _ -, a letter or digit first";
    return [{ path: ["targets", index, "name"], text }];
  });
}

function repeated(
  raw: unknown,
  list: string,
  key: string,
  same: (text: string) => string,
): readonly Problem[] {
  const first = new Map<string, number>();
  return listAt(raw, [list]).flatMap((item, index) => {
    const text = valueAt(item, [key]);
    if (typeof text !== "string") return [];
    const earlier = first.get(same(text));
    if (earlier === undefined) {
      first.set(same(text), index);
      return [];
    }
    return [
      { path: [list, index, key], text: `is the same as ${list}[${earlier}].${key}; each stands once` },
    ];
  });
}

function verifyTimes(raw: unknown): readonly Problem[] {
  const path = ["defaults", "verify"];
  const timeout = durationAt(raw, [...path, "timeout"], "10m");
  const stableFor = durationAt(raw, [...path, "stableFor"], "15s");
  if (timeout === undefined || stableFor === undefined || timeout > stableFor) return [];
  const named = valueAt(raw, [...path, "timeout"]) === undefined ? "stableFor" : "timeout";
  return [
    {
      path: [...path, named],
      text: "`timeout` must be longer than `stableFor`, or no rollout can ever succeed",
    },
  ];
}

/** A freeze whose target is misspelt would hold nothing, and nobody would learn of it before the weekend. */
function freezeTargets(raw: unknown): readonly Problem[] {
  const known = listAt(raw, ["targets"]).map((item) => valueAt(item, ["name"]));
  return listAt(raw, ["freezes"]).flatMap((freeze, index) =>
    listAt(freeze, ["targets"]).flatMap((name, place) =>
      typeof name !== "string" || known.includes(name)
        ? []
        : [{ path: ["freezes", index, "targets", place], text: "names no entry of `targets`" }],
    ),
  );
}

function durationAt(raw: unknown, path: Path, otherwise: string): number | undefined {
  const text = valueAt(raw, path) ?? otherwise;
  return typeof text === "string" ? parseDuration(text) : undefined;
}

function templates(raw: unknown): readonly Problem[] {
  return [...textsOf(raw)].flatMap(({ path, text }) => {
    const problem = templateProblem(text);
    return problem === undefined ? [] : [{ path, text: problem }];
  });
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`);
  return `{${entries.join(",")}}`;
}
