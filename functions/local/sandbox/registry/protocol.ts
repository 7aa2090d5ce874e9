import type { Answer } from "./faults.ts";

/** A request as the registry's routes read it. */
export interface Call {
  readonly method: string;
  readonly url: URL;
  readonly header: (name: string) => string | undefined;
  readonly body: Buffer;
}

export function json(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): Answer {
  return {
    status,
    headers: { "content-type": "application/json; charset=utf-8", ...headers },
    body: Buffer.from(JSON.stringify(value)),
  };
}

export function empty(status: number, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, headers, body: Buffer.alloc(0) };
}

export interface WireError {
  readonly code: string;
  readonly message: string;
  readonly detail?: unknown;
}

/** https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#error-codes */
export function failure(
  status: number,
  code: string,
  message: string,
  detail?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  return failures(status, [{ code, message, ...(detail === undefined ? {} : { detail }) }], headers);
}

export function failures(
  status: number,
  errors: readonly WireError[],
  headers: Readonly<Record<string, string>> = {},
): Answer {
  return json(status, { errors }, headers);
}

/** What the router says to a path that cannot be one, e.g. a tag that begins with `-`. */
export function noRoute(): Answer {
  return {
    status: 404,
    headers: { "content-type": "text/plain; charset=utf-8" },
    body: Buffer.from("404 page not found\n"),
  };
}

export function unsupported(): Answer {
  return failure(405, "UNSUPPORTED", "The operation is unsupported.");
}
