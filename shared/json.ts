import type * as z from "zod/mini";

/** Reads JSON as that schema; `undefined` when it is neither. */
export function readJson<Schema extends z.ZodMiniType>(
  schema: Schema,
  text: string | Buffer,
): z.infer<Schema> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text.toString());
  } catch {
    return undefined;
  }
  const parsed = schema.safeParse(value);
  return parsed.success ? parsed.data : undefined;
}
