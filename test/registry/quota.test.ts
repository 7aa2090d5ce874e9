import { describe, expect, it } from "vitest";
import { retryAfterMs } from "../../shared/http.ts";
import { rateLimitOf } from "../../shared/registry/oci/quota.ts";
import type { RateLimit } from "../../shared/registry/registry.ts";

const nowMs = Date.UTC(2026, 0, 5, 12);
const sixHoursMs = 6 * 3_600_000;

function answer(headers: Record<string, string>) {
  return { status: 429, headers, body: Buffer.alloc(0) };
}

describe("how long to leave a registry alone", () => {
  it.each<{ name: string; value: string; waitMs: number | undefined }>([
    { name: "seconds", value: "120", waitMs: 120_000 },
    { name: "no time at all, taken as a second", value: "0", waitMs: 1_000 },
    { name: "more than six hours, cut", value: "86400", waitMs: sixHoursMs },
    { name: "epoch seconds", value: String(nowMs / 1_000 + 90), waitMs: 90_000 },
    { name: "epoch seconds in the past", value: String(nowMs / 1_000 - 90), waitMs: 1_000 },
    { name: "an HTTP date", value: "Mon, 05 Jan 2026 12:00:30 GMT", waitMs: 30_000 },
    { name: "an HTTP date in the past", value: "Mon, 05 Jan 2026 11:00:00 GMT", waitMs: 1_000 },
    { name: "an HTTP date next year, cut", value: "Tue, 05 Jan 2027 12:00:00 GMT", waitMs: sixHoursMs },
    { name: "a negative number", value: "-5", waitMs: undefined },
    { name: "a fraction", value: "1.5", waitMs: undefined },
    { name: "a word", value: "soon", waitMs: undefined },
    { name: "nothing", value: "", waitMs: undefined },
  ])("reads $name", ({ value, waitMs }) => {
    expect(retryAfterMs(answer({ "retry-after": value }), nowMs)).toBe(waitMs);
    expect(retryAfterMs(answer({ "x-retry-after": value }), nowMs)).toBe(waitMs);
  });

  it("says nothing without a header", () => {
    expect(retryAfterMs(answer({}), nowMs)).toBeUndefined();
  });
});

describe("rate limits", () => {
  it.each<{ name: string; headers: Record<string, string>; limit: RateLimit | undefined }>([
    {
      name: "Docker Hub's",
      headers: { "ratelimit-limit": "100;w=21600", "ratelimit-remaining": "20;w=21600" },
      limit: { limit: 100, remaining: 20, windowMs: 21_600_000 },
    },
    {
      name: "bare numbers",
      headers: { "ratelimit-limit": "100", "ratelimit-remaining": "0" },
      limit: { limit: 100, remaining: 0 },
    },
    {
      name: "what is left only",
      headers: { "ratelimit-remaining": "7 ; w=60" },
      limit: { remaining: 7, windowMs: 60_000 },
    },
    { name: "none", headers: {}, limit: undefined },
    { name: "no number", headers: { "ratelimit-remaining": "many" }, limit: undefined },
  ])("reads $name", ({ headers, limit }) => {
    expect(rateLimitOf(answer(headers))).toEqual(limit);
  });
});
