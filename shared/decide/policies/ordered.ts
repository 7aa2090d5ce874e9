import { skip, type TagRules } from "./tag-rules.ts";

/** What gives tags an order: each is compared by a key that is read from its text. */
export interface Order<Key> {
  /** `undefined`: this order cannot read the tag. */
  readonly read: (tag: string) => Key | undefined;
  readonly compare: (one: Key, other: Key) => number;
  /** Why a tag does not take part although it can be read; `undefined`: it does. */
  readonly refusal?: (key: Key, tag: string) => string | undefined;
  /** Why what runs is no measure for other tags although it can be read; `undefined`: it is one. */
  readonly doubt?: (key: Key) => string | undefined;
  /** What a tag has to be to be read, e.g. `a version such as v1.4.2`. */
  readonly wants: string;
}

/**
 * The rules of a policy under which tags stand above and below each other. Of tags whose keys are equal, e.g.
 * `v1.4.0` and `1.4.0_3f2c1d0`, the one whose text is greater by its code units is higher: the highest of many is the
 * same one in whatever order they come. Tags that end in `-dirty` never take part.
 */
export function ordered<Key>({ read, compare, refusal, doubt, wants }: Order<Key>): TagRules {
  const keyOf = (tag: string): Key | undefined => (isDirty(tag) ? undefined : read(tag));

  const refusalOf = (tag: string): string | undefined => {
    if (isDirty(tag)) return `${tag} says of itself that it is work in progress`;
    const key = keyOf(tag);
    return key === undefined ? `${tag} is not ${wants}` : refusal?.(key, tag);
  };

  const doubtOf = (tag: string): string | undefined => {
    const key = keyOf(tag);
    return key === undefined ? `is not ${wants}` : doubt?.(key);
  };

  const compareTags = (one: string, other: string): number | undefined => {
    const left = keyOf(one);
    const right = keyOf(other);
    if (left === undefined || right === undefined) return undefined;
    return compare(left, right) || byText(one, other);
  };

  return {
    admits: (tag) => refusalOf(tag) === undefined,
    compare: compareTags,
    decide: (running, candidate) => {
      const refused = refusalOf(candidate);
      if (refused !== undefined) return skip("other-tag", refused);
      if (running === candidate) return { kind: "same" };
      if (isDirty(running)) return skip("dirty");
      const doubted = doubtOf(running);
      if (doubted !== undefined) return skip("unordered", `it runs ${running}, which ${doubted}`);
      const isHigher = (compareTags(candidate, running) ?? 0) > 0;
      return isHigher ? { kind: "follow" } : skip("older", `it runs ${running}`);
    },
  };
}

/** Plain order by code units, the same everywhere. */
export function byText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

function isDirty(tag: string): boolean {
  return tag.endsWith("-dirty");
}
