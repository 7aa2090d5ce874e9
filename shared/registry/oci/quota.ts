import { type HttpAnswer, headerOf } from "../../http.ts";
import type { RateLimit } from "../registry.ts";

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

function counted(text: string | undefined): { count: number; windowMs?: number } | undefined {
  const match = /^\s*(\d{1,15})\s*(?:;.*?\bw\s*=\s*(\d{1,9}))?/.exec(text ?? "");
  if (match === null) return undefined;
  const [, count, seconds] = match;
  return { count: Number(count), ...(seconds === undefined ? {} : { windowMs: Number(seconds) * 1_000 }) };
}
