import { skip, type TagRules } from "./tag-rules.ts";

/** The newest commit of the image's branch. Git gives that order; a tag alone says nothing. */
export function commit(): TagRules {
  return {
    admits: () => false,
    compare: () => undefined,
    decide: () =>
      skip("unordered", "it follows the commits of its image's branch, and moves with builds alone"),
  };
}
