import { skip, type TagRules } from "./tag-rules.ts";

/** It stays as it is, whatever is pushed. */
export function none(): TagRules {
  return {
    admits: () => false,
    compare: () => undefined,
    decide: () => skip("policy-none"),
  };
}
