import { type HttpAnswer, headerOf } from "../../http.ts";

/** What a registry says of its rate limit, e.g. Docker Hub's `ratelimit-remaining: 20;w=21600`. */
export interface RateLimit {
  readonly limit?: number;
  readonly remaining: number;
  /** The window that the numbers count for, ms. */
  readonly windowMs?: number;
}

const minRetryAfterMs = 1_000;
export const maxRetryAfterMs = 6 * 3_600_000;
/** Larger whole numbers are a date: Docker Hub has sent epoch seconds here. */
const epochFrom = 1e9;

/**
 * How long the other side asks to be left alone, ms, between 1 s and 6 h; `undefined` when it does not say.
 * Knows seconds, epoch seconds and an HTTP date.
 */
export function retryAfterMs(answer: HttpAnswer, nowMs: number): number | undefined {
  const text = (headerOf(answer, "retry-after") ?? headerOf(answer, "x-retry-after"))?.trim();
  if (text === undefined) return undefined;
  const wait = waitOf(text, nowMs);
  return Number.isNaN(wait) ? undefined : Math.min(Math.max(wait, minRetryAfterMs), maxRetryAfterMs);
}

/** `undefined`: no limit applies, or none that can be read. */
export function rateLimitOf(answer: HttpAnswer): RateLimit | undefined {
  const remaining = counted(headerOf(answer, "ratelimit-remaining"));
  if (remaining === undefined) return undefined;
  const limit = counted(headerOf(answer, "ratelimit-limit"));
  const windowMs = remaining.windowMs ?? limit?.windowMs;
  return {
    remaining: remaining.count,
    ...(limit === undefined ? {} : { limit: limit.count }),
    ...(windowMs === undefined ? {} : { windowMs }),
  };
}

function waitOf(text: string, nowMs: number): number {
  if (/^\d+$/.test(text)) {
    const number = Number(text);
    return number > epochFrom ? number * 1_000 - nowMs : number * 1_000;
  }
  // Date.parse would take "1.5" or "-5" for dates; HTTP dates begin with a weekday.
  return /^[A-Za-z]{3}/.test(text) ? Date.parse(text) - nowMs : Number.NaN;
}

function counted(text: string | undefined): { count: number; windowMs?: number } | undefined {
  const match = /^\s*(\d{1,15})\s*(?:;.*?\bw\s*=\s*(\d{1,9}))?/.exec(text ?? "");
  if (match === null) return undefined;
  const [, count, seconds] = match;
  return { count: Number(count), ...(seconds === undefined ? {} : { windowMs: Number(seconds) * 1_000 }) };
}
