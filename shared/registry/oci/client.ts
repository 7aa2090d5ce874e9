import { RegistryDeniedError, RegistryResponseError, RegistryUnavailableError } from "../../errors.ts";
import {
  type HttpAnswer,
  HttpError,
  type HttpRequest,
  headerOf,
  maxRetryAfterMs,
  retryAfterMs,
} from "../../http.ts";
import { readJson } from "../../json.ts";
import type { RateLimit } from "../registry.ts";
import { type Access, type Authorization, authorizer } from "./authorizer.ts";
import { parseChallenges } from "./challenge.ts";
import { namedUrl, type Reach } from "./host.ts";
import { rateLimitOf } from "./quota.ts";
import { ErrorAnswer } from "./schema.ts";

interface RegistryCall {
  readonly method: "GET" | "HEAD" | "PUT";
  /** Absolute, on the registry's own origin. */
  readonly url: string;
  readonly access: Access;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** The answer tells what is left of the registry's rate limit, or by silence that there is none. */
  readonly tellsLimit?: boolean;
  /** When the whole of it must be over, on the monotonic clock. */
  readonly until: number;
  /** For messages, e.g. `HEAD acme/web:v1`. */
  readonly what: string;
}

/** One registry host: its credentials, its circuit, its rate limit. */
export interface RegistryClient {
  readonly reach: Reach;
  /**
   * Resolves with any answer that is for the caller to read: not 401, 403, 408, 429 or 5xx.
   * @throws RegistryUnavailableError, RegistryDeniedError, RegistryResponseError
   */
  call(call: RegistryCall): Promise<HttpAnswer>;
  /** The last manifest answer's rate limit; `undefined` when it named none. */
  limit(): RateLimit | undefined;
}

interface Followed {
  readonly answer: HttpAnswer;
  /** A redirect has led to another host: its challenges are not the registry's. */
  readonly elsewhere: boolean;
}

const maxAnswerBytes = 4 * 1024 * 1024;
const firstBackoffMs = 30_000;
const maxRedirects = 3;

export function registryClient(reach: Reach): RegistryClient {
  const { clock, host } = reach;
  let closedAt = Number.NEGATIVE_INFINITY;
  let strikes = 0;
  let limit: RateLimit | undefined;

  const send = async (
    request: Omit<HttpRequest, "deadlineMs" | "maxBytes">,
    until: number,
    what: string,
  ): Promise<HttpAnswer> => {
    const deadlineMs = Math.ceil(until - clock.monotonic());
    if (deadlineMs <= 0) throw new RegistryUnavailableError(`${host}: ${what} was not sent: the time is up`);
    try {
      return await reach.http().request({ ...request, deadlineMs, maxBytes: maxAnswerBytes });
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      const message = `${host}: ${what}: ${error.message}`;
      throw error.kind === "too-large"
        ? new RegistryResponseError(message, { cause: error })
        : new RegistryUnavailableError(message, { cause: error });
    }
  };

  /** Opens the circuit for as long as the registry asks; calls already under way count as one refusal. */
  const leaveAlone = (answer: HttpAnswer): number => {
    const now = clock.monotonic();
    const asked = retryAfterMs(answer, clock.now());
    if (now >= closedAt) strikes += 1;
    const waitMs = asked ?? Math.min(firstBackoffMs * 2 ** (strikes - 1), maxRetryAfterMs);
    closedAt = Math.max(closedAt, now + waitMs);
    return closedAt - now;
  };

  const judge = (answer: HttpAnswer, what: string): HttpAnswer => {
    const { status } = answer;
    const message = `${host} answered ${status} to ${what}${codesOf(answer)}`;
    if (status === 429) throw new RegistryUnavailableError(message, { retryAfterMs: leaveAlone(answer) });
    strikes = 0;
    if (status === 401 || status === 403) throw new RegistryDeniedError(message);
    if (status === 408 || status >= 500) {
      const wait = retryAfterMs(answer, clock.now());
      throw new RegistryUnavailableError(message, wait === undefined ? {} : { retryAfterMs: wait });
    }
    return answer;
  };

  const authorize = authorizer(
    reach,
    (url, authorization, until) =>
      send(
        { method: "GET", url, headers: authorization === undefined ? {} : { authorization } },
        until,
        "a request for a token",
      ),
    judge,
  );

  const follow = async (call: RegistryCall, authorization: Authorization | undefined): Promise<Followed> => {
    let url = call.url;
    let header = authorization?.header;
    let elsewhere = false;
    for (let hop = 0; hop <= maxRedirects; hop += 1) {
      const answer = await send(
        {
          method: call.method,
          url,
          headers: { ...call.headers, ...(header === undefined ? {} : { authorization: header }) },
          ...(call.body === undefined ? {} : { body: call.body }),
        },
        call.until,
        call.what,
      );
      const location = headerOf(answer, "location");
      if (
        call.method === "PUT" ||
        location === undefined ||
        ![301, 302, 303, 307, 308].includes(answer.status)
      ) {
        return { answer, elsewhere };
      }
      const next = namedUrl(reach, location, url, "a redirect");
      if (next.origin !== new URL(url).origin) {
        header = undefined;
        elsewhere = true;
      }
      url = next.href;
    }
    throw new RegistryResponseError(`${host} redirected ${call.what} more than ${maxRedirects} times`);
  };

  const refuseWhileOpen = (what: string): void => {
    const left = closedAt - clock.monotonic();
    if (left <= 0) return;
    throw new RegistryUnavailableError(
      `${host} asked to be left alone for another ${Math.ceil(left / 1_000)} s: ${what} was not sent`,
      { retryAfterMs: left },
    );
  };

  return {
    reach,
    async call(call) {
      refuseWhileOpen(call.what);
      const first = await authorize.before(call.access, call.until);
      let followed = await follow(call, first);
      if (followed.answer.status === 401 && !followed.elsewhere) {
        const challenges = parseChallenges(valuesOf(followed.answer, "www-authenticate"));
        followed = await follow(call, await authorize.after(challenges, call.access, first, call.until));
      }
      const answer = judge(followed.answer, call.what);
      if (call.tellsLimit && answer.status === 200) limit = rateLimitOf(answer);
      return answer;
    },
    limit: () => limit,
  };
}

/** The registry's error codes, e.g. ` (MANIFEST_INVALID)`: its texts may repeat what they were sent. */
export function codesOf(answer: HttpAnswer): string {
  const codes = readJson(ErrorAnswer, answer.body)?.errors.flatMap(({ code }) =>
    /^[A-Za-z_]{1,60}$/.test(code) ? [code] : [],
  );
  return codes === undefined || codes.length === 0 ? "" : ` (${[...new Set(codes)].slice(0, 3).join(", ")})`;
}

function valuesOf(answer: HttpAnswer, name: string): readonly string[] {
  const value = answer.headers[name];
  return value === undefined ? [] : typeof value === "string" ? [value] : value;
}
