import * as z from "zod/mini";

const maxTextLength = 512;

/**
 * A text that may be there. Missing, empty, of another type, unprintable or longer than any real one, it counts as
 * absent: what only informs never refuses a delivery, and never makes a record too large.
 */
export const OptionalText = z.catch(
  z.optional(
    z.string().check(
      z.minLength(1),
      z.maxLength(maxTextLength),
      z.refine((text) => text.isWellFormed()),
    ),
  ),
  undefined,
);

/** RFC 3339, e.g. `2024-06-10T06:13:20.402973972Z`, into UTC with milliseconds. The year 1 means unknown. */
export function instantOf(text: string | undefined): string | undefined {
  if (
    text === undefined ||
    !/^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/.test(text)
  ) {
    return undefined;
  }
  return text.startsWith("0001-") ? undefined : isoOf(Date.parse(text));
}

/** Seconds since 1970 as an integer, a float or a numeric text, e.g. `1.417566161e+09`. */
export function instantOfSeconds(seconds: unknown): string | undefined {
  if (typeof seconds === "number") return seconds > 0 ? isoOf(seconds * 1000) : undefined;
  if (typeof seconds !== "string" || !/^\d+(?:\.\d+)?(?:e\+?\d{1,2})?$/i.test(seconds)) return undefined;
  return instantOfSeconds(Number(seconds));
}

/** Lower-cases A to Z only: other alphabets have letters whose small form is an ASCII letter. */
export function asciiLower(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

function isoOf(ms: number): string | undefined {
  const afterYear9999 = 253_402_300_800_000;
  return ms < afterYear9999 ? new Date(ms).toISOString() : undefined;
}
