import { blocksOf, entriesOf, isObject, type Json, type JsonObject, type Module } from "./module.ts";
import type { Argument, Block, NestedBlock, ProviderSchema } from "./schema.ts";

/** Terraform's own, allowed in every resource. */
const metaArguments = ["count", "for_each", "depends_on", "provider"];
const metaBlocks = ["lifecycle"];

/** @returns what the provider would refuse, one line each: file, resource, path, problem */
export function checkSchema(module: Module, schema: ProviderSchema): readonly string[] {
  const check = (kind: "resources" | "data") =>
    module[kind].flatMap(({ file, type, name, body }) => {
      const block = schema[kind][type];
      const at = `${file}: ${kind === "data" ? "data." : ""}${type}.${name}`;
      return block === undefined
        ? [`${at}: the schema has no such type`]
        : checkBlock(own(body), block).map((problem) => `${at}${problem}`);
    });
  return [...check("resources"), ...check("data")];
}

function own(body: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(body).filter(([key]) => ![...metaArguments, ...metaBlocks].includes(key)),
  );
}

/** @returns problems, each starting with the path within the block: `.push_config: …` */
function checkBlock(body: JsonObject, block: Block): string[] {
  const problems: string[] = [];
  const { dynamic, ...written } = body;
  const generated = new Map<string, readonly JsonObject[]>();
  for (const [name, definitions] of entriesOf(dynamic)) {
    const contents = (blocksOf(definitions) ?? []).flatMap(({ content, for_each: each }) => {
      if (each === undefined) problems.push(`.${name}: a dynamic block needs for_each`);
      return blocksOf(content) ?? [];
    });
    if (contents.length === 0) problems.push(`.${name}: a dynamic block needs content`);
    generated.set(name, contents);
  }
  for (const [name, value] of Object.entries(written)) {
    const argument = block.arguments[name];
    const nested = block.blocks[name];
    if (argument !== undefined) problems.push(...checkArgument(name, value, argument));
    else if (nested === undefined) problems.push(`.${name}: unknown`);
    else if (blocksOf(value) === undefined)
      problems.push(`.${name}: is a block, write \`${name} { … }\` without =`);
  }
  for (const [name] of generated) {
    if (block.blocks[name] === undefined) problems.push(`.${name}: unknown block`);
  }
  for (const [name, { required }] of Object.entries(block.arguments)) {
    if (required && written[name] === undefined) problems.push(`.${name}: required and missing`);
  }
  for (const [name, nested] of Object.entries(block.blocks)) {
    problems.push(...checkNested(name, nested, blocksOf(written[name]) ?? [], generated.get(name) ?? []));
  }
  return problems;
}

function checkNested(
  name: string,
  nested: NestedBlock,
  literal: readonly JsonObject[],
  generated: readonly JsonObject[],
): string[] {
  const all = [...literal, ...generated];
  const inside = all.flatMap((each) => checkBlock(each, nested).map((problem) => `.${name}${problem}`));
  if (nested.required && all.length === 0) return [`.${name}: required and missing`];
  if (nested.single && all.length > 1) return [`.${name}: only one is allowed`, ...inside];
  return inside;
}

function checkArgument(name: string, value: Json, argument: Argument): string[] {
  const { type, values } = argument;
  const expression = typeof value === "string" && value.includes("${");
  if (value === null || expression) return [];
  if (blocksOf(value) !== undefined) return [`.${name}: is an argument, write \`${name} = …\``];
  if (!fits(type, value)) return [`.${name}: expected ${type}`];
  return values !== undefined && !values.some((each) => each === value)
    ? [`.${name}: ${JSON.stringify(value)} is none of ${values.join(", ")}`]
    : [];
}

function fits(type: string, value: Json): boolean {
  if (type.endsWith("Map")) return isObject(value);
  if (type === "map") return isObject(value);
  if (type.endsWith("List") || type === "list" || type === "set") return Array.isArray(value);
  if (type === "number") return !Number.isNaN(Number(value)) && !isObject(value) && !Array.isArray(value);
  if (type === "boolean") return typeof value === "boolean" || value === "true" || value === "false";
  return typeof value !== "object";
}
