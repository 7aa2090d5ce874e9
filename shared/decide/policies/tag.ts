import { skip, type TagRules } from "./tag-rules.ts";

/** The tag that it runs, wherever that points. Tags are names here, none is above another. */
export function tag(): TagRules {
  return {
    admits: () => true,
    compare: (one, other) => (one === other ? 0 : undefined),
    decide: (running, candidate) =>
      running === candidate ? { kind: "same" } : skip("other-tag", `it follows ${running}`),
  };
}
