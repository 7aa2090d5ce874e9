import * as z from "zod/mini";
import type { Clock } from "../../clock.ts";
import { BusUnavailableError, messageOf } from "../../errors.ts";
import type { Answer, Caller } from "./call.ts";
import type { Identity } from "./identity.ts";

export interface RestOptions {
  /** `https://pubsub.googleapis.com`, or the emulator. */
  readonly origin: string;
  readonly identity: Identity;
  readonly caller: Caller;
  readonly clock: Pick<Clock, "monotonic" | "sleep">;
  /** In [0, 1): spreads retries. */
  readonly random: () => number;
  /** One try; default 3 s. */
  readonly attemptMs?: number;
  /** All tries; default 9 s: most senders of webhooks wait for 10 s, and some never send again. */
  readonly totalMs?: number;
}

interface RestRequest {
  readonly method: "GET" | "POST";
  /** Below `/v1/`, e.g. `projects/p/topics/t:publish`. */
  readonly path: string;
  readonly body?: unknown;
  /** What a person grants on what when Pub/Sub refuses, e.g. `roles/pubsub.publisher on projects/p/topics/t`. */
  readonly role: string;
}

/**
 * Pub/Sub's REST interface: https://cloud.google.com/pubsub/docs/reference/rest. Tries again what may come right, so a
 * message may be published twice.
 * @throws BusUnavailableError
 */
export type Rest = (request: RestRequest) => Promise<unknown>;

type Outcome =
  | { readonly kind: "done"; readonly json: unknown }
  | { readonly kind: "again"; readonly problem: string; readonly waitMs: number; readonly cause?: unknown }
  | { readonly kind: "failed"; readonly problem: string; readonly cause?: unknown };

const ErrorBody = z.object({ error: z.object({ status: z.string(), message: z.string() }) });
const firstWaitMs = 100;

export function pubsubRest(options: RestOptions): Rest {
  const { origin, identity, caller, clock, random, attemptMs = 3_000, totalMs = 9_000 } = options;

  return async (request) => {
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    const untilMs = clock.monotonic() + totalMs;
    for (let attempt = 0; ; attempt++) {
      const leftMs = untilMs - clock.monotonic();
      const outcome = await tried(request, body, attempt, Math.min(attemptMs, leftMs));
      if (outcome.kind === "done") return outcome.json;
      if (outcome.kind === "failed" || clock.monotonic() + outcome.waitMs >= untilMs) {
        throw new BusUnavailableError(outcome.problem, { cause: outcome.cause });
      }
      await clock.sleep(outcome.waitMs);
    }
  };

  async function tried(
    { method, path, role }: RestRequest,
    body: string | undefined,
    attempt: number,
    deadlineMs: number,
  ): Promise<Outcome> {
    const startedMs = clock.monotonic();
    const waitMs = firstWaitMs * 2 ** attempt * (0.5 + random());
    let token: string | undefined;
    let answer: Answer;
    try {
      token = await identity.token(deadlineMs);
    } catch (error) {
      return { kind: "again", problem: messageOf(error), waitMs, cause: error };
    }
    try {
      answer = await caller.call({
        method,
        url: `${origin}/v1/${encodeURI(path)}`,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body }),
        deadlineMs: Math.max(1, deadlineMs - (clock.monotonic() - startedMs)),
      });
    } catch (error) {
      // The usual reason is a kept connection that the other side has closed meanwhile: a new one works at once.
      const problem = `Pub/Sub cannot be asked: ${messageOf(error)}`;
      return { kind: "again", problem, waitMs: attempt === 0 ? 0 : waitMs, cause: error };
    }
    if (answer.status === 200) {
      const json = jsonOf(answer.body);
      if (json !== undefined) return { kind: "done", json };
      return { kind: "again", problem: "Pub/Sub answered 200 without JSON", waitMs };
    }
    const said = `Pub/Sub answered ${answer.status}${wordsOf(answer.body)}`;
    if (answer.status === 401 && token !== undefined && attempt === 0) {
      identity.forget(token);
      return { kind: "again", problem: said, waitMs: 0 };
    }
    if (answer.status === 403) return { kind: "failed", problem: `${said}; it takes ${role}` };
    if (answer.status === 404) {
      return { kind: "failed", problem: `${said}; there is no ${path.replace(/:\w+$/, "")}` };
    }
    const passing = answer.status === 408 || answer.status === 429 || answer.status >= 500;
    return passing ? { kind: "again", problem: said, waitMs } : { kind: "failed", problem: said };
  }
}

/** What Google says of an error, e.g. ` NOT_FOUND: Resource not found (resource=landfall).` */
function wordsOf(body: string): string {
  const parsed = ErrorBody.safeParse(jsonOf(body));
  if (!parsed.success) return "";
  const { status, message } = parsed.data.error;
  return ` ${status}: ${message.slice(0, 300)}`;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
