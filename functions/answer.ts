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
export async function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers, body }: Answer,
): Promise<void> {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, {
    ...headers,
    "content-type": "application/json; charset=utf-8",
    "content-length": bytes.length,
    ...(request.complete ? {} : { connection: "close" }),
  });
  if (!request.complete) {
    response.write(bytes);
    await discardBody(request, lingerMs);
    response.end();
  } else {
    response.end(bytes);
  }
}
