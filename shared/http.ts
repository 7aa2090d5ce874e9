import type { Dispatcher } from "undici";
import { LandfallError, messageOf } from "./errors.ts";
import { version } from "./version.ts";

/** One call; the whole of it, body included, must be over within `deadlineMs`. */
export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly deadlineMs: number;
  /** When the answer has to have begun, ms; default `deadlineMs`. A second or so late, at most. */
  readonly beginsWithinMs?: number;
  /** A longer answer is refused. */
  readonly maxBytes: number;
  /**
   * Takes the body of a 200 piece by piece, in the place of `HttpAnswer.body`, which is empty then. After `enough` the
   * connection is dropped and the rest never read. It must not throw.
   */
  readonly read?: (piece: Buffer) => "more" | "enough";
}

export interface HttpAnswer {
  readonly status: number;
  /** Names in lower case; a header sent several times is an array. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Buffer;
}

/** Where a client connects, beyond the URL. Certificates and keys are PEM. */
export interface HttpOptions {
  readonly socketPath?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** The name that the certificate must be for; default: the URL's host. */
  readonly servername?: string;
  /** Connections a host, default 16. */
  readonly connections?: number;
}

export interface HttpClient {
  /** @throws HttpError */
  request(request: HttpRequest): Promise<HttpAnswer>;
  close(): Promise<void>;
}

/** No usable HTTP answer. `sent` is false only when the request certainly never reached the other side. */
export class HttpError extends LandfallError {
  readonly code = "HTTP";
  readonly retryable = true;
  readonly kind: "unreachable" | "deadline" | "broken" | "too-large";
  readonly sent: boolean;

  constructor(kind: HttpError["kind"], sent: boolean, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
    this.sent = sent;
  }
}

/** What Landfall calls itself towards registries and targets. */
const userAgent = `landfall/${version}`;

const minRetryAfterMs = 1_000;
/** The longest that a `Retry-After` is believed. */
export const maxRetryAfterMs = 6 * 3_600_000;
/** Larger whole numbers are a date: Docker Hub has sent epoch seconds here. */
const epochFrom = 1e9;
const neverSent = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOENT",
  "EACCES",
  "UND_ERR_CONNECT_TIMEOUT",
]);

/**
 * An HTTP client with one deadline and one size limit a call. It follows no redirect and repeats nothing.
 * undici is loaded at the first request, so that a function that makes none does not pay for it.
 */
export function httpClient(options: HttpOptions = {}): HttpClient {
  let agent: Promise<Dispatcher> | undefined;
  const dispatcher = () => {
    agent ??= import("./http-agent.ts").then(({ httpAgent }) => httpAgent(options));
    return agent;
  };

  return {
    async request(request) {
      const signal = AbortSignal.timeout(request.deadlineMs);
      try {
        const { origin, path } = split(request.url);
        const answer = await (await dispatcher()).request({
          origin,
          path,
          method: request.method,
          headers: { "user-agent": userAgent, ...request.headers },
          body: request.body ?? null,
          signal,
          headersTimeout: request.beginsWithinMs ?? request.deadlineMs,
          bodyTimeout: request.deadlineMs,
        });
        const chunks: Buffer[] = [];
        let size = 0;
        for await (const chunk of answer.body as AsyncIterable<Buffer>) {
          size += chunk.length;
          if (size > request.maxBytes) {
            throw new HttpError("too-large", true, `the answer is longer than ${request.maxBytes} bytes`);
          }
          if (request.read === undefined || answer.statusCode !== 200) chunks.push(chunk);
          else if (request.read(chunk) === "enough") break;
        }
        return { status: answer.statusCode, headers: answer.headers, body: Buffer.concat(chunks) };
      } catch (error) {
        if (error instanceof HttpError) throw error;
        if (signal.aborted) {
          throw new HttpError("deadline", true, `no answer within ${request.deadlineMs} ms`, {
            cause: error,
          });
        }
        const code = codeOf(error);
        const sent = !(
          code !== undefined &&
          (neverSent.has(code) || code.startsWith("ERR_TLS") || isCertificateCode(code))
        );
        throw new HttpError(sent ? "broken" : "unreachable", sent, messageOf(error) || code || "no answer", {
          cause: error,
        });
      }
    },
    async close() {
      if (agent !== undefined) await (await agent).destroy();
    },
  };
}

/** The first value of a header that may have been sent several times. */
export function headerOf(answer: HttpAnswer, name: string): string | undefined {
  const value = answer.headers[name];
  return typeof value === "string" ? value : value?.[0];
}

/**
 * How long the other side asks to be left alone by `Retry-After`, ms, between 1 s and 6 h; `undefined` when it does
 * not say. Knows seconds, epoch seconds and an HTTP date.
 */
export function retryAfterMs(answer: HttpAnswer, nowMs: number): number | undefined {
  const text = (headerOf(answer, "retry-after") ?? headerOf(answer, "x-retry-after"))?.trim();
  if (text === undefined) return undefined;
  const wait = waitOf(text, nowMs);
  return Number.isNaN(wait) ? undefined : Math.min(Math.max(wait, minRetryAfterMs), maxRetryAfterMs);
}

function waitOf(text: string, nowMs: number): number {
  if (/^\d+$/.test(text)) {
    const number = Number(text);
    return number > epochFrom ? number * 1_000 - nowMs : number * 1_000;
  }
  // Date.parse would take "1.5" or "-5" for dates; HTTP dates begin with a weekday.
  return /^[A-Za-z]{3}/.test(text) ? Date.parse(text) - nowMs : Number.NaN;
}

function split(url: string): { origin: string; path: string } {
  const { origin, pathname, search } = new URL(url);
  return { origin, path: `${pathname}${search}` };
}

function isCertificateCode(code: string): boolean {
  return /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)/.test(code);
}

function codeOf(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ("code" in at && typeof at.code === "string") return at.code;
    if (at instanceof AggregateError && at.errors.length > 0) return codeOf(at.errors[0]);
  }
  return undefined;
}
