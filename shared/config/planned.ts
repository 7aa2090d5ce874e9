import { sourceNames } from "../domain/push.ts";
import type { Path } from "./path.ts";

/**
 * Keys and values that belong to the configuration's design and do not act yet. The schema is asked first: one
 * that it accepts acts, whatever stands here.
 */
const plannedKeys: ReadonlySet<string> = new Set(["registries[].auth"]);

const plannedValues: Readonly<Record<string, readonly string[]>> = {
  "webhooks[].source": sourceNames,
};

/** Whether a key, or a value under a key, is known and merely not in this version. */
export function isPlanned(path: Path, value?: string): boolean {
  const place = path
    .map((part) => (typeof part === "number" ? "[]" : `.${part}`))
    .join("")
    .slice(1);
  return value === undefined ? plannedKeys.has(place) : (plannedValues[place]?.includes(value) ?? false);
}
