import { skip, type TagRules } from "./tag-rules.ts";

/** What was promoted to the channel whose tag it runs. The tag itself is an output and is not listened to. */
export function channel(): TagRules {
  return {
    admits: () => false,
    compare: () => undefined,
    decide: () => skip("unordered", "it runs a channel's tag, and moves with promotions alone"),
  };
}
