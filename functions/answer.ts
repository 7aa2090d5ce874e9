import type { IncomingMessage, ServerResponse } from "node:http";
import { discardBody } from "./request-body.ts";

/** What an HTTP function answers; `body` is sent as JSON. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: unknown;
}

/** How long the rest of a body is thrown away after an answer that did not wait for it. */
const lingerMs = 2_000;

/**
 * Sends an answer. A sender that is not done sending gets it at once and is told to close; what it still sends is
 * thrown away for a while before the connection is cut, since a cut while bytes arrive resets the connection, and
 * many clients then report the reset instead of the status.
 */
export function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers, body }: Answer,
): void | Promise<void> {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    ...headers,
    "content-type": "application/json; charset=utf-8",
    "content-length": Buffer.byteLength(text),
    ...(request.complete ? {} : { connection: "close" }),
  });
  if (!request.complete) return sendAndLinger(request, response, text);
  response.end(text);
}

async function sendAndLinger(
  request: IncomingMessage,
  response: ServerResponse,
  text: string,
): Promise<void> {
  response.write(text);
  await discardBody(request, lingerMs);
  response.end();
}
