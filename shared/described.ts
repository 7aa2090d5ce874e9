import * as z from "zod/mini";

/** A schema with a sentence for whoever writes the configuration; the type stays. */
export function described<S extends z.ZodMiniType>(schema: S, description: string): S {
  return schema.check(z.describe(description)) as S;
}
