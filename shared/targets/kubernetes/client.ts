import { type Clock, systemClock } from "../../clock.ts";
import { messageOf, TargetDeniedError, TargetUnavailableError } from "../../errors.ts";
import {
  type HttpAnswer,
  type HttpClient,
  HttpError,
  type HttpOptions,
  httpClient,
  retryAfterMs,
} from "../../http.ts";
import type { Access, ClusterConnection } from "./access.ts";
import { adviceOn, isObjectMissing, objectOf, wordsOf } from "./answers.ts";

export interface ClientOptions {
  /** Name of the target, for messages. */
  readonly target: string;
  readonly access: Access;
  /** Default `httpClient`. */
  readonly connect?: ((options: HttpOptions) => HttpClient) | undefined;
  readonly clock?: Clock | undefined;
}

export interface KubernetesClient {
  get(path: string): Promise<Found<unknown>>;
  /** What is taken of every item of a list; a page is in memory at a time. `undefined` is left out. */
  list<T>(path: string, query: Query, take: (item: unknown) => T | undefined): Promise<Found<readonly T[]>>;
  /**
   * Sends a write once; what it means is the caller's to say, but for a refused credential.
   * @throws HttpError when this very call got no answer; TargetUnavailableError or TargetDeniedError when nothing was done
   */
  write(method: "PATCH" | "DELETE", path: string, write: Write): Promise<HttpAnswer>;
  close(): Promise<void>;
}

export type Found<T> =
  | { readonly kind: "found"; readonly value: T }
  /** The API has no such object. */
  | { readonly kind: "missing" }
  /** The cluster does not have this API, or not in this version. */
  | { readonly kind: "no-api" };

export type Query = Readonly<Record<string, string>>;

export interface Write {
  readonly contentType: string;
  readonly body: string;
}

const deadlineMs = 10_000;
/** A page is a quorum read of up to 500 objects. */
const listDeadlineMs = 30_000;
const pageSize = 500;
const maxBytes = 128 * 1024 * 1024;
/** How often a list starts over whose pages were compacted away. */
const maxLists = 3;
/** An API server that has just started refuses what it allows two seconds later. */
const forbiddenPauseMs = 2_000;
const believedMs = 60_000;

export function kubernetesClient(options: ClientOptions): KubernetesClient {
  const { target, access, connect = httpClient, clock = systemClock } = options;
  let current: { readonly pem: string; readonly http: HttpClient } | undefined;
  let forbiddenAtMs = Number.NEGATIVE_INFINITY;

  /** Certificates may change while we run; connections made with earlier ones idle out. */
  function http({ ca, cert, key, servername }: ClusterConnection): HttpClient {
    const pem = JSON.stringify([ca, cert, key, servername]);
    if (current?.pem !== pem) {
      const http = connect({
        ...(ca === undefined ? {} : { ca }),
        ...(cert === undefined ? {} : { cert }),
        ...(key === undefined ? {} : { key }),
        ...(servername === undefined ? {} : { servername }),
      });
      current = { pem, http };
    }
    return current.http;
  }

  async function send(to: ClusterConnection, method: Method, path: string, write?: Write) {
    try {
      return await http(to).request({
        method,
        url: `${to.server}${path}`,
        headers: {
          accept: "application/json",
          ...(write === undefined ? {} : { "content-type": write.contentType }),
          ...to.headers,
        },
        ...(write === undefined ? {} : { body: write.body }),
        deadlineMs: path.includes("limit=") ? listDeadlineMs : deadlineMs,
        maxBytes,
      });
    } catch (error) {
      if (error instanceof HttpError && !error.sent) access.unreachable?.();
      if (!isTlsTrouble(error)) throw error;
      throw new TargetDeniedError(
        `${target}: TLS with the API server fails (${messageOf(error)}): check the cluster's CA and address`,
        { cause: error },
      );
    }
  }

  /** The answer, after what has no effect was repeated once: a refused credential, and an API server that just started. */
  async function call(method: Method, path: string, write?: Write): Promise<HttpAnswer> {
    let answer = await send(await access.connect(), method, path, write);
    if (answer.status === 401) answer = await send(await access.renew(), method, path, write);
    if (answer.status === 401) {
      throw new TargetDeniedError(
        `${target}: the API server does not accept our credentials (401)${wordsOf(answer)}`,
      );
    }
    if (!isRightMissing(answer)) return answer;
    if (clock.monotonic() - forbiddenAtMs > believedMs) {
      await clock.sleep(forbiddenPauseMs);
      answer = await send(await access.connect(), method, path, write);
    }
    if (isRightMissing(answer)) forbiddenAtMs = clock.monotonic();
    return answer;
  }

  async function read(path: string): Promise<HttpAnswer> {
    const answer = await call("GET", path).catch((error: unknown) => {
      throw error instanceof HttpError
        ? new TargetUnavailableError(`${target}: ${error.message}`, { cause: error })
        : error;
    });
    if (answer.status === 403) {
      const words = adviceOn(answer) ?? `the API server refuses to be read (403)${wordsOf(answer)}`;
      throw new TargetDeniedError(`${target}: ${words}`);
    }
    return answer;
  }

  function unusable(answer: HttpAnswer): TargetUnavailableError {
    const message = `${target}: the API server answered ${answer.status}${wordsOf(answer)}`;
    return new TargetUnavailableError(message, { retryAfterMs: retryAfterMs(answer, clock.now()) });
  }

  function jsonOf(answer: HttpAnswer): Readonly<Record<string, unknown>> {
    const object = objectOf(answer);
    if (object !== undefined) return object;
    throw new TargetUnavailableError(`${target}: the API server's answer is no JSON object`);
  }

  /** All pages, or `expired` when the cluster no longer has the revision that the first one was of. */
  async function pages<T>(
    path: string,
    query: Query,
    take: (item: unknown) => T | undefined,
  ): Promise<Pages<T>> {
    const items: T[] = [];
    for (let next = ""; ; ) {
      const page = new URLSearchParams({
        ...query,
        limit: String(pageSize),
        ...(next && { continue: next }),
      });
      const answer = await read(`${path}?${page}`);
      if (answer.status === 410) return { kind: "expired" };
      if (answer.status === 404) return { kind: "no-api" };
      if (answer.status !== 200) throw unusable(answer);
      const list = jsonOf(answer);
      if (!Array.isArray(list.items)) {
        throw new TargetUnavailableError(`${target}: the API server's answer is no list`);
      }
      for (const item of list.items) {
        const taken = take(item);
        if (taken !== undefined) items.push(taken);
      }
      next = continueOf(list.metadata);
      if (next === "") return { kind: "found", value: items };
    }
  }

  return {
    async get(path) {
      const answer = await read(path);
      if (answer.status === 200) return { kind: "found", value: jsonOf(answer) };
      if (answer.status === 404) return { kind: isObjectMissing(answer) ? "missing" : "no-api" };
      throw unusable(answer);
    },
    async list(path, query, take) {
      for (let tries = 0; tries < maxLists; tries++) {
        const found = await pages(path, query, take);
        if (found.kind !== "expired") return found;
      }
      throw new TargetUnavailableError(`${target}: the API server let every list of ${path} expire half-way`);
    },
    async write(method, path, write) {
      return call(method, path, write);
    },
    async close() {
      await Promise.all([current?.http.close(), access.close()]);
    },
  };
}

type Method = "GET" | "PATCH" | "DELETE";
type Pages<T> = Found<readonly T[]> | { readonly kind: "expired" };

function isRightMissing(answer: HttpAnswer): boolean {
  return adviceOn(answer) !== undefined;
}

function continueOf(metadata: unknown): string {
  const named = typeof metadata === "object" && metadata !== null && "continue" in metadata;
  return named && typeof metadata.continue === "string" ? metadata.continue : "";
}

/** A certificate that is not trusted, or names another host; or OpenSSL's own words for material that does not fit. */
function isTlsTrouble(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    const code = "code" in at && typeof at.code === "string" ? at.code : "";
    if (/CERT|SELF_SIGNED|UNABLE_TO_(?:GET|VERIFY)|^ERR_(?:TLS|OSSL|SSL)_/.test(code)) return true;
  }
  return false;
}
