import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "@cdktf/hcl2json";

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = Readonly<Record<string, Json>>;

/** A `resource` or `data` block as hcl2json gives it: arguments plain, blocks as lists, expressions as `${…}`. */
export interface Resource {
  readonly file: string;
  readonly type: string;
  readonly name: string;
  readonly body: JsonObject;
}

/** A `variable` or `output` block. */
interface Named {
  readonly file: string;
  readonly name: string;
  readonly body: JsonObject;
}

/** All of a folder's `.tf` files. */
export interface Module {
  readonly resources: readonly Resource[];
  readonly data: readonly Resource[];
  readonly variables: readonly Named[];
  readonly outputs: readonly Named[];
  readonly locals: JsonObject;
}

export async function readModule(folder: string): Promise<Module> {
  const names = readdirSync(folder).filter((name) => name.endsWith(".tf"));
  return parseModule(
    Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name), "utf8")])),
  );
}

/**
 * @param files text by file name
 * @throws Error with file and line for text that is no HCL
 */
export async function parseModule(files: Readonly<Record<string, string>>): Promise<Module> {
  const module = {
    resources: [] as Resource[],
    data: [] as Resource[],
    variables: [] as Named[],
    outputs: [] as Named[],
    locals: {} as Record<string, Json>,
  };
  for (const [file, text] of Object.entries(files)) {
    const parsed = (await parse(file, text)) as JsonObject;
    for (const [kind, list] of [
      ["resource", module.resources],
      ["data", module.data],
    ] as const) {
      for (const [type, byName] of entriesOf(parsed[kind])) {
        for (const [name, bodies] of entriesOf(byName)) {
          for (const body of blocksOf(bodies) ?? []) list.push({ file, type, name, body });
        }
      }
    }
    for (const [kind, list] of [
      ["variable", module.variables],
      ["output", module.outputs],
    ] as const) {
      for (const [name, bodies] of entriesOf(parsed[kind])) {
        for (const body of blocksOf(bodies) ?? []) list.push({ file, name, body });
      }
    }
    for (const body of blocksOf(parsed.locals) ?? []) Object.assign(module.locals, body);
  }
  return module;
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function entriesOf(value: Json | undefined): [string, Json][] {
  return isObject(value) ? Object.entries(value) : [];
}

/** What was written as blocks; `undefined` when it was not. */
export function blocksOf(value: Json | undefined): readonly JsonObject[] | undefined {
  return Array.isArray(value) && value.length > 0 && value.every(isObject) ? value : undefined;
}

/** Every text in it, with the path that leads there. */
export function* textsOf(
  value: Json,
  path: readonly string[] = [],
): Generator<readonly [string, readonly string[]]> {
  if (typeof value === "string") yield [value, path];
  else if (Array.isArray(value))
    for (const [at, item] of value.entries()) yield* textsOf(item, [...path, String(at)]);
  else for (const [key, item] of entriesOf(value)) yield* textsOf(item, [...path, key]);
}
