import * as z from "zod/mini";

const units = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
  ["ms", 1],
] as const;
const form = /^(?=\d)(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m(?!s))?(?:(\d{1,9})s)?(?:(\d{1,9})ms)?$/;

/** Reads `10m`, `15s`, `500ms`, `1h30m` into ms; `undefined` when it is no duration. */
export function parseDuration(text: string): number | undefined {
  const parts = form.exec(text);
  if (parts === null) return undefined;
  return units.reduce((sum, [, ms], index) => sum + Number(parts[index + 1] ?? 0) * ms, 0);
}

/** Prints whole ms as `parseDuration` reads them, e.g. `1h30m`. */
export function printDuration(durationMs: number): string {
  let rest = durationMs;
  let text = "";
  for (const [unit, ms] of units) {
    const count = Math.floor(rest / ms);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * ms;
  }
  return text === "" ? "0s" : text;
}

/** A duration as text in the file, as ms in the configuration. */
export const Duration = z.pipe(
  z
    .string()
    .check(
      z.refine(
        (text) => parseDuration(text) !== undefined,
        "is no duration; write for example `10m`, `15s` or `500ms`",
      ),
    ),
  z.transform((text) => parseDuration(text) ?? 0),
);
