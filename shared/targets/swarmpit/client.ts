import * as z from "zod/mini";
import { systemClock } from "../../clock.ts";
import { messageOf, TargetDeniedError, TargetUnavailableError } from "../../errors.ts";
import { type HttpAnswer, type HttpClient, HttpError, headerOf, retryAfterMs } from "../../http.ts";
import type { Secret } from "../../secret.ts";
import type { WriteOutcome } from "../target.ts";
import { isServiceMissing, readDenial, redeployOutcome, wrongAddress } from "./answers.ts";

export interface SwarmpitConnection {
  /** Name of the target, for messages. */
  readonly target: string;
  /** e.g. `https://swarmpit.acme.io/api`, with or without a slash at the end. */
  readonly url: string;
  readonly token: Secret;
  readonly headers: Readonly<Record<string, Secret>>;
  readonly http: HttpClient;
  /** A call must be over within this, ms, the second try of a 401 included; unless it names less. */
  readonly deadlineMs: number;
}

export interface Redeploy {
  /** Another tag of the service's repository, which Swarmpit resolves from 1.9 on; absent: the tag that the service has. */
  readonly tag?: string;
  readonly deadlineMs?: number;
}

/** The calls of Swarmpit's API that a deployer needs. `id` is a service's id or name. */
export interface SwarmpitClient {
  /** The JSON of a read; `undefined` when Swarmpit says that the service is not there. */
  read(path: string, deadlineMs?: number): Promise<unknown>;
  /** POST services/{id}/redeploy: resolves a tag of the service's repository, pins what it finds, restarts every task. */
  redeploy(id: string, redeploy?: Redeploy): Promise<WriteOutcome>;
  /** POST services/{id}/rollback: submits Docker's previous spec as an ordinary update; of a rollback's that is the newer one. */
  rollback(id: string, deadlineMs?: number): Promise<WriteOutcome>;
  /** The release that answers, e.g. `1.11-SNAPSHOT`; `undefined` where it cannot be asked: a proxy may show the API only. */
  release(deadlineMs?: number): Promise<string | undefined>;
}

const Version = z.object({ version: z.string() });

/** A list of 10,000 services is about 25 MB. */
const maxBytes = 64 * 1024 * 1024;

export function swarmpitClient(connection: SwarmpitConnection): SwarmpitClient {
  const base = connection.url.replace(/\/+$/, "");
  const call = async (
    method: "GET" | "POST",
    path: string,
    deadlineMs = connection.deadlineMs,
  ): Promise<HttpAnswer> => {
    const startedMs = systemClock.monotonic();
    const send = () =>
      connection.http.request({
        method,
        url: `${base}/${path}`,
        headers: headersOf(connection),
        deadlineMs: Math.max(1, Math.ceil(deadlineMs - (systemClock.monotonic() - startedMs))),
        maxBytes,
      });
    const first = await send();
    // Swarmpit calls a token invalid when it only failed to look its user up, and it has done nothing then.
    return first.status === 401 && isFromSwarmpit(first) ? await send() : first;
  };

  const write = async (path: string, deadlineMs: number | undefined): Promise<WriteOutcome> => {
    let answer: HttpAnswer;
    try {
      answer = await call("POST", path, deadlineMs);
    } catch (error) {
      if (!(error instanceof HttpError) || !error.sent) throw unavailable(connection, error);
      return { kind: "unknown", message: `Swarmpit: ${error.message}` };
    }
    const outcome = redeployOutcome(answer, isFromSwarmpit(answer));
    switch (outcome.kind) {
      case "denied":
        throw new TargetDeniedError(`${connection.target}: ${outcome.message}`);
      case "unavailable":
        throw new TargetUnavailableError(`${connection.target}: ${outcome.message}`, {
          retryAfterMs: retryAfterMs(answer, systemClock.now()),
        });
      default:
        return outcome;
    }
  };

  return {
    async read(path, deadlineMs) {
      const answer = await call("GET", path, deadlineMs).catch((error: unknown) => {
        throw unavailable(connection, error);
      });
      if (answer.status === 200) return jsonOf(connection.target, answer);
      if (isServiceMissing(answer)) return undefined;
      const denial = readDenial(answer, isFromSwarmpit(answer));
      if (denial !== undefined) throw new TargetDeniedError(`${connection.target}: ${denial}`);
      const said = wrongAddress(answer) ?? `Swarmpit answered ${answer.status} to GET ${path.split("/")[0]}`;
      throw new TargetUnavailableError(`${connection.target}: ${said}`, {
        retryAfterMs: retryAfterMs(answer, systemClock.now()),
      });
    },
    redeploy(id, { tag, deadlineMs } = {}) {
      const query = tag === undefined ? "" : `?tag=${encodeURIComponent(tag)}`;
      return write(`services/${encodeURIComponent(id)}/redeploy${query}`, deadlineMs);
    },
    rollback: (id, deadlineMs) => write(`services/${encodeURIComponent(id)}/rollback`, deadlineMs),
    async release(deadlineMs) {
      try {
        // Beside the API, not under it.
        const answer = await call("GET", "../version", deadlineMs);
        const read = Version.safeParse(JSON.parse(answer.body.toString("utf8")));
        return answer.status === 200 && read.success ? read.data.version : undefined;
      } catch {
        return undefined;
      }
    },
  };
}

/** Whatever form the token was copied in, Swarmpit reads exactly one case-sensitive `Bearer `. */
function headersOf(connection: SwarmpitConnection): Record<string, string> {
  const headers = Object.entries(connection.headers).map(([name, value]) => [name, value().trim()] as const);
  const token = bareToken(connection.token);
  return { ...Object.fromEntries(headers), accept: "application/json", authorization: `Bearer ${token}` };
}

export function bareToken(token: Secret): string {
  return token()
    .trim()
    .replace(/^(?:Bearer\s+)+/i, "");
}

/** Swarmpit marks the refusals of its own guards; without the mark one is passed on from a registry or a proxy. */
function isFromSwarmpit(answer: HttpAnswer): boolean {
  return headerOf(answer, "x-backend-server") !== undefined;
}

function jsonOf(target: string, answer: HttpAnswer): unknown {
  try {
    return JSON.parse(answer.body.toString("utf8"));
  } catch (error) {
    throw new TargetUnavailableError(
      `${target}: the answer is no JSON: check that \`url\` is Swarmpit's address and /api`,
      { cause: error },
    );
  }
}

function unavailable(connection: SwarmpitConnection, error: unknown): unknown {
  if (!(error instanceof HttpError)) return error;
  return new TargetUnavailableError(`${connection.target}: ${messageOf(error)}`, { cause: error });
}
