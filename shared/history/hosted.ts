import { HistoryDeniedError, HistoryUnavailableError } from "../errors.ts";
import { type HttpAnswer, HttpError, headerOf, maxRetryAfterMs, retryAfterMs } from "../http.ts";
import type { GitHostOptions } from "./host.ts";
import type { Pace } from "./pace.ts";

interface HostedRules {
  readonly pace: Pace;
  /** Whether redirects are followed, never away from the base. */
  readonly followsRedirects: boolean;
  /** Asked for anew at each request, so that a rotated token is seen. */
  readonly headers: () => Readonly<Record<string, string>>;
  /** Whether the answer says that we ask too much, and until when if it names that. */
  readonly limit: (answer: HttpAnswer) => { readonly waitMs: number | undefined } | undefined;
}

interface HostedCall {
  /** With the base in front of it. */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** When the whole of it must be over, on the monotonic clock. */
  readonly until: number;
  /** For messages, e.g. `a comparison in acme/app`. */
  readonly what: string;
}

/** One host: its pace, its rate limit, its refusals. */
export interface HostedClient {
  /** `host[:port]`, for messages. */
  readonly host: string;
  /** When a call that begins now must be over. */
  until(): number;
  /**
   * Resolves with any answer that is for the caller to read: no redirect, not 401, 403, 408, 429 or 5xx.
   * @throws HistoryUnavailableError, HistoryDeniedError
   */
  get(call: HostedCall): Promise<HttpAnswer>;
  /** What to throw for an answer that the caller cannot make sense of. */
  senseless(what: string, why: string): HistoryUnavailableError;
}

/** The longest answer: a comparison whose host knows no pages, or a page of a log. */
const maxBytes = 8 * 1024 * 1024;
const defaultDeadlineMs = 10_000;
const firstWaitMs = 60_000;
const maxRedirects = 3;

export function hostedClient(options: GitHostOptions, rules: HostedRules): HostedClient {
  const { client, clock } = options;
  const base = new URL(`${options.base.replace(/\/+$/, "")}/`);
  const { host } = base;
  let closedUntil = Number.NEGATIVE_INFINITY;
  let strikes = 0;

  const refuseWhileClosed = (what: string): void => {
    const left = closedUntil - clock.monotonic();
    if (left <= 0) return;
    throw new HistoryUnavailableError(
      `${host} asked to be left alone for another ${Math.ceil(left / 1_000)} s: ${what} was not asked for`,
      { retryAfterMs: left },
    );
  };

  /** Requests already under way count as one refusal. */
  const leaveAlone = (namedMs: number | undefined): number => {
    const now = clock.monotonic();
    if (now >= closedUntil) strikes += 1;
    const waitMs = namedMs ?? Math.min(firstWaitMs * 2 ** (strikes - 1), maxRetryAfterMs);
    closedUntil = Math.max(closedUntil, now + waitMs);
    return closedUntil - now;
  };

  const send = async (url: string, { headers, until, what }: HostedCall): Promise<HttpAnswer> => {
    const deadlineMs = Math.ceil(until - clock.monotonic());
    if (deadlineMs <= 0) throw tooLate(what);
    try {
      return await client.request({
        method: "GET",
        url,
        headers: { ...rules.headers(), ...headers },
        deadlineMs,
        maxBytes,
      });
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      throw new HistoryUnavailableError(`${host}: ${what}: ${error.message}`, { cause: error });
    }
  };

  const follow = async (call: HostedCall): Promise<HttpAnswer> => {
    let { url } = call;
    for (let hop = 0; hop <= maxRedirects; hop += 1) {
      const answer = await send(url, call);
      if (![301, 302, 303, 307, 308].includes(answer.status)) return answer;
      const location = headerOf(answer, "location") ?? "";
      const next = location === "" ? null : URL.parse(location, url);
      const within = next?.origin === base.origin && next.pathname.startsWith(base.pathname);
      if (!rules.followsRedirects || next === null || !within) {
        throw new HistoryDeniedError(
          `${host} redirects ${call.what} elsewhere: check its address, and whether it asks to log in`,
        );
      }
      url = next.href;
    }
    throw new HistoryUnavailableError(`${host} redirects ${call.what} more than ${maxRedirects} times`);
  };

  const judge = (answer: HttpAnswer, what: string): HttpAnswer => {
    const { status } = answer;
    const message = `${host} answered ${status} to ${what}`;
    const limited = rules.limit(answer);
    if (limited !== undefined) {
      throw new HistoryUnavailableError(`${message}: its rate limit`, {
        retryAfterMs: leaveAlone(limited.waitMs),
      });
    }
    strikes = 0;
    if (status === 401) throw new HistoryDeniedError(`${message}: it refuses the credentials`);
    if (status === 403) throw new HistoryDeniedError(`${message}: the credentials may not read there`);
    if (status === 408 || status >= 500) {
      throw new HistoryUnavailableError(message, { retryAfterMs: retryAfterMs(answer, clock.now()) });
    }
    return answer;
  };

  const tooLate = (what: string) =>
    new HistoryUnavailableError(`${host}: ${what} was not asked for: the time is up`);

  return {
    host,
    until: () => clock.monotonic() + (options.deadlineMs ?? defaultDeadlineMs),
    async get(call) {
      refuseWhileClosed(call.what);
      const over = await rules.pace(call.until);
      if (over === undefined) throw tooLate(call.what);
      try {
        // The one before may have been told to leave the host alone.
        refuseWhileClosed(call.what);
        return judge(await follow(call), call.what);
      } finally {
        over();
      }
    },
    senseless: (what, why) => new HistoryUnavailableError(`${host}: ${what}: ${why}`),
  };
}
