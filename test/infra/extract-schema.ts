/**
 * Reads the google provider's schema from `@cdktf/provider-google`, its generated bindings, which are too large to
 * depend on. Run by hand when infra/ uses a type that test/fixtures/google-provider-schema.json lacks:
 *
 *     npm pack @cdktf/provider-google@16.12.1 && tar xzf cdktf-provider-google-16.12.1.tgz
 *     node test/infra/extract-schema.ts package
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readModule } from "./module.ts";
import type { Argument, Block, NestedBlock, ProviderSchema } from "./schema.ts";

const root = join(import.meta.dirname, "../..");
const fixture = join(root, "test/fixtures/google-provider-schema.json");

if (import.meta.main) {
  const folder = process.argv[2];
  if (folder === undefined) throw new Error("Say where the package was unpacked: extract-schema.ts FOLDER");
  const used = await readModule(join(root, "infra"));
  const schema = extractSchema(folder, {
    resources: [...new Set(used.resources.map(({ type }) => type))].sort(),
    data: [...new Set(used.data.map(({ type }) => type))].sort(),
  });
  writeFileSync(fixture, `${JSON.stringify(schema, null, 1)}\n`);
}

/**
 * @param folder the unpacked package
 * @param types full names, e.g. `google_pubsub_topic`
 * @throws Error for a type that the package lacks
 */
export function extractSchema(
  folder: string,
  types: { readonly resources: readonly string[]; readonly data: readonly string[] },
): ProviderSchema {
  const { name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const known = readdirSync(join(folder, "lib"));
  const all = (list: readonly string[], prefix: string) =>
    Object.fromEntries(
      list.map((type) => {
        const module = `${prefix}${type.replace(/^google_/, "").replaceAll("_", "-")}`;
        if (!known.includes(module)) throw new Error(`${name} ${version} has no ${type}`);
        return [type, typeOf(join(folder, "lib", module))];
      }),
    );
  return {
    source: `${name} ${version}`,
    resources: all(types.resources, ""),
    data: all(types.data, "data-google-"),
  };
}

interface Source {
  readonly code: string;
  readonly declarations: string;
}

function typeOf(folder: string): Block {
  const source: Source = {
    code: readFileSync(join(folder, "index.js"), "utf8"),
    declarations: readFileSync(join(folder, "index.d.ts"), "utf8"),
  };
  const name = /^class (\w+) extends cdktf\.Terraform(?:Resource|DataSource) /m.exec(source.code)?.[1];
  if (name === undefined) throw new Error(`${folder} defines no resource`);
  const entries = between(source.code, "    synthesizeHclAttributes() {", "\n    }\n");
  return block(source, entries, `${name}Config`, name);
}

/** @param entries the text of the function that prints this block as HCL, which lists all there can be in it */
function block(source: Source, entries: string, shape: string, reader: string): Block {
  const properties = propertiesOf(source.declarations, shape);
  const found: { arguments: Record<string, Argument>; blocks: Record<string, NestedBlock> } = {
    arguments: {},
    blocks: {},
  };
  const entry =
    /^ {8,12}(\w+): \{\s+value: (.+),\s+isBlock: (true|false),\s+type: "(\w+)",\s+storageClassType: "(\w+)",/gm;
  for (const [, name = "", value = "", isBlock, , type = ""] of entries.matchAll(entry)) {
    const property = properties.get(/(?:struct\.|this\._)(\w+)/.exec(value)?.[1] ?? "");
    if (property === undefined) throw new Error(`${shape}.${name} is declared nowhere`);
    const required = property.required ? { required: true as const } : {};
    if (isBlock === "false") {
      const values = property.values.length > 0 ? { values: property.values } : {};
      found.arguments[name] = { type, ...required, ...values };
      continue;
    }
    const printer = /(?<!\.)\b(\w+)ToHclTerraform\b/.exec(value)?.[1] ?? "";
    const nested = `${printer.charAt(0).toUpperCase()}${printer.slice(1)}`;
    const body = between(source.code, `\nfunction ${printer}ToHclTerraform(struct) {`, "\n}\n");
    found.blocks[name] = {
      ...required,
      ...(property.type.includes("[]") ? {} : { single: true as const }),
      ...block(source, body, nested, `${nested}OutputReference`),
    };
  }
  return { ...found, readable: readableOf(source.code, reader) };
}

interface Property {
  readonly type: string;
  readonly required: boolean;
  readonly values: readonly string[];
}

function propertiesOf(declarations: string, shape: string): ReadonlyMap<string, Property> {
  const text = between(
    declarations,
    new RegExp(`^export interface ${shape}(?: extends [\\w.]+)? \\{`, "m"),
    "\n}",
  );
  const property =
    /(?:\/\*\*(?<docs>(?:(?!\*\/)[\s\S])*)\*\/\s*)?readonly (?<name>\w+)(?<optional>\??): (?<type>[^;]+);/g;
  return new Map(
    [...text.matchAll(property)].map(({ groups }) => {
      const { docs = "", name = "", optional, type = "" } = groups ?? {};
      const listed = /Possible values: \[([^\]]*)\]/.exec(docs)?.[1] ?? "";
      const values = [...listed.matchAll(/"([^"]+)"/g)].map(([, value = ""]) => value);
      return [name, { type, required: optional === "", values }];
    }),
  );
}

function readableOf(code: string, className: string): readonly string[] {
  if (!new RegExp(`^class ${className} `, "m").test(code)) return [];
  const text = between(code, new RegExp(`^class ${className} [\\s\\S]*?\\{`, "m"), "\n}\n");
  const names = [
    ...text.matchAll(/this\.get\w+Attribute\('(\w+)'\)/g),
    ...text.matchAll(/new (?:\w+|cdktf\.\w+)\(this, ["'](\w+)["']/g),
  ].map(([, name = ""]) => name);
  return [...new Set(names)].sort();
}

function between(text: string, start: string | RegExp, end: string): string {
  const at = typeof start === "string" ? text.indexOf(start) : text.search(start);
  const to = text.indexOf(end, at);
  if (at < 0 || to < 0) throw new Error(`not as expected: no ${start} that ends`);
  return text.slice(at, to);
}
