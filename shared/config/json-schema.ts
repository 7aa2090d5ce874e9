import { type Path, valueAt } from "./path.ts";

type Node = Readonly<Record<string, unknown>>;

/** The keys that a JSON Schema knows at a path of a document; alternatives are told apart by what the document says. */
export function keysAt(schema: unknown, path: Path, document: unknown): readonly string[] {
  return [
    ...new Set(nodesAt(schema, path, document).flatMap((node) => Object.keys(asNode(node.properties)))),
  ];
}

/** The texts that a JSON Schema allows at a path of a document; empty when it is not a choice among texts. */
export function optionsAt(schema: unknown, path: Path, document: unknown): readonly string[] {
  const options = nodesAt(schema, path, document).flatMap((node) =>
    Array.isArray(node.enum) ? node.enum : [node.const],
  );
  return [...new Set(options.filter((option) => typeof option === "string"))];
}

/** What a JSON Schema says of a path; `undefined` when it says nothing, or not the same in all alternatives. */
export function descriptionAt(schema: unknown, path: Path, document: unknown): string | undefined {
  const said = new Set(nodesAt(schema, path, document).map(({ description }) => description));
  const [only] = said;
  return said.size === 1 && typeof only === "string" ? only : undefined;
}

function nodesAt(schema: unknown, path: Path, document: unknown): readonly Node[] {
  let nodes = alternatives(asNode(schema), document);
  let value = document;
  for (const part of path) {
    value = valueAt(value, [part]);
    nodes = nodes.flatMap((node) => alternatives(childSchema(node, part), value));
  }
  return nodes;
}

function childSchema(node: Node, part: string | number): Node {
  if (typeof part === "number") return asNode(node.items);
  const properties = asNode(node.properties);
  return asNode(Object.hasOwn(properties, part) ? properties[part] : node.additionalProperties);
}

/** A node's alternatives whose constants (such as `kind`) the document does not contradict; all, when it contradicts all. */
function alternatives(node: Node, value: unknown): readonly Node[] {
  const branches = [node.oneOf, node.anyOf].flatMap((list) => (Array.isArray(list) ? list.map(asNode) : []));
  if (branches.length === 0) return [node];
  const fitting = branches.filter((branch) =>
    Object.entries(asNode(branch.properties)).every(([key, property]) => {
      const constant = asNode(property).const;
      const said = valueAt(value, [key]);
      return constant === undefined || said === undefined || constant === said;
    }),
  );
  return (fitting.length > 0 ? fitting : branches).flatMap((branch) => alternatives(branch, value));
}

function asNode(value: unknown): Node {
  return typeof value === "object" && value !== null ? (value as Node) : {};
}
