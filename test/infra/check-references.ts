import { isObject, type Json, type Module, textsOf } from "./module.ts";
import type { ProviderSchema } from "./schema.ts";

/**
 * @returns references to what is declared nowhere or has no such attribute, and variables and locals that nothing
 * uses, one line each
 */
export function checkReferences(module: Module, schema: ProviderSchema): readonly string[] {
  const problems: string[] = [];
  const used = new Set<string>();
  const declared = new Set([
    ...module.variables.map(({ name }) => `var.${name}`),
    ...Object.keys(module.locals).map((name) => `local.${name}`),
  ]);
  for (const [where, value] of places(module)) {
    for (const expression of expressionsOf(value)) {
      for (const [name] of expression.matchAll(/(?<![\w.])(?:var|local)\.\w+/g)) {
        if (declared.has(name)) used.add(name);
        else problems.push(`${where}: ${name} is not declared`);
      }
      for (const [, data, type = "", name = "", attribute] of expression.matchAll(
        /(?<![\w.])(data\.)?(google_\w+)\.(\w+)(?:\[(?:[^\]]*)\])?(?:\.(\w+))?/g,
      )) {
        const kind = data === undefined ? "resources" : "data";
        const found = module[kind].some((each) => each.type === type && each.name === name);
        if (!found) problems.push(`${where}: ${data ?? ""}${type}.${name} is not declared`);
        else if (attribute !== undefined && !schema[kind][type]?.readable.includes(attribute)) {
          problems.push(`${where}: ${type} has no attribute ${attribute}`);
        }
      }
    }
  }
  for (const name of declared) if (!used.has(name)) problems.push(`${name} is used nowhere`);
  return problems;
}

function places(module: Module): readonly (readonly [string, Json])[] {
  return [
    ...module.resources.map(({ file, type, name, body }) => [`${file}: ${type}.${name}`, body] as const),
    ...module.data.map(({ file, type, name, body }) => [`${file}: data.${type}.${name}`, body] as const),
    ...module.outputs.map(({ file, name, body }) => [`${file}: output.${name}`, body] as const),
    ...Object.entries(module.locals).map(([name, value]) => [`local.${name}`, value] as const),
  ];
}

/** What Terraform evaluates in a value: the insides of `${…}`, without the texts quoted in them. */
function* expressionsOf(value: Json): Generator<string> {
  for (const [text] of textsOf(value)) {
    for (const inside of templates(text)) yield inside.replaceAll(/"(?:[^"\\$]|\\.|\$(?!\{))*"/g, '""');
  }
  if (isObject(value)) for (const key of Object.keys(value)) yield* templates(key);
}

/** The insides of each `${…}` of a text, up to the brace that closes it. */
function* templates(text: string): Generator<string> {
  let depth = 0;
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    if (text.startsWith("${", at) && text[at - 1] !== "$") {
      if (depth === 0) from = at + 2;
      depth++;
      at++;
    } else if (depth > 0 && text[at] === "{") depth++;
    else if (depth > 0 && text[at] === "}" && --depth === 0) yield text.slice(from, at);
  }
}
