import type { Block, ProviderSchema } from "./schema.ts";

/** Where the releases that infra/versions.tf asks for differ from the 6.50 that the fixture was read from. */
interface Amendment {
  readonly type: string;
  /** Blocks down to the one that is meant; none: the resource itself. */
  readonly path: readonly string[];
  readonly argument: string;
  readonly now: "required" | "read-only";
  readonly reason: string;
}

const amendments: readonly Amendment[] = [
  {
    type: "google_cloudfunctions2_function",
    path: ["service_config"],
    argument: "service",
    now: "read-only",
    reason: "since 7.0 the provider refuses it as input; `service_config[0].service` still reads",
  },
  {
    type: "google_cloudfunctions2_function",
    path: ["event_trigger"],
    argument: "event_type",
    now: "required",
    reason: "since 7.0; before, leaving it away failed only at Google",
  },
];

/** @throws Error when the schema has no such block or argument to amend: the list is out of date then */
export function amended(schema: ProviderSchema, list: readonly Amendment[] = amendments): ProviderSchema {
  const resources = { ...schema.resources };
  for (const amendment of list) {
    const block = resources[amendment.type];
    if (block === undefined) throw new Error(`nothing to amend: ${amendment.type}`);
    resources[amendment.type] = amend(block, amendment, amendment.path);
  }
  return { ...schema, resources };
}

function amend<B extends Block>(block: B, amendment: Amendment, path: readonly string[]): B {
  const [next, ...rest] = path;
  if (next !== undefined) {
    const nested = block.blocks[next];
    if (nested === undefined)
      throw new Error(`nothing to amend: ${amendment.type}.${amendment.path.join(".")}`);
    return { ...block, blocks: { ...block.blocks, [next]: amend(nested, amendment, rest) } };
  }
  const { [amendment.argument]: argument, ...others } = block.arguments;
  if (argument === undefined) throw new Error(`nothing to amend: ${amendment.type}: ${amendment.argument}`);
  return {
    ...block,
    arguments:
      amendment.now === "read-only"
        ? others
        : { ...others, [amendment.argument]: { ...argument, required: true } },
  };
}
