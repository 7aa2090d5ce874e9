import type { HttpFunction } from "@google-cloud/functions-framework";
import { type Receipt, type ReceiveDeps, receive } from "../shared/flows/receive.ts";
import { jsonLog, type Log } from "../shared/log.ts";
import { version } from "../shared/version.ts";
import type { Answer } from "./answer.ts";
import { answered, unavailable } from "./boundary.ts";
import { hideHookPaths, hookOf, isHook } from "./hook-path.ts";
import { type BodyLimits, ownBodies, readBody } from "./request-body.ts";

export interface WebhookOptions extends BodyLimits {
  /** For what goes wrong outside the flow; the flow has its own. */
  readonly log: Log;
}

const defaults: WebhookOptions = {
  maxBodyBytes: 2 * 1024 * 1024,
  bodyDeadlineMs: 10_000,
  log: jsonLog(),
};

/**
 * `POST /hooks/{source}/{secret}`, `/hooks/{source}` where the source signs, `/hooks/{secret}` for Docker Hub, each
 * with or without a slash at its end: a registry reports that a tag moved.
 */
export function createWebhook(
  deps: () => ReceiveDeps | Promise<ReceiveDeps>,
  options: Partial<WebhookOptions> = {},
): HttpFunction {
  const { log, ...limits } = { ...defaults, ...options };
  ownBodies(isHook);
  hideHookPaths();
  return (request, response) =>
    answered(request, response, log, async () => {
      if (/^\/health(?:\?|$)/.test(request.url)) return health(request.method);
      const hook = hookOf(request);
      if (hook === undefined) return notFound;
      const { method, headers } = request;
      const delivery = { ...hook, method, headers, readBody: () => readBody(request, limits) };
      return reply(await receive(await deps(), delivery));
    });
}

function reply(receipt: Receipt): Answer | undefined {
  switch (receipt.outcome) {
    case "accept": {
      const { outcome, images, event } = receipt;
      return { status: 202, body: { outcome, images, event } };
    }
    case "ignore":
      return { status: 200, body: receipt };
    case "reject":
      return rejected(receipt.status, receipt.error, receipt.status === 405 ? { allow: "POST" } : {});
    case "unavailable":
      return unavailable("the push could not be handed over, try again");
    case "gone":
      return undefined;
    default:
      return receipt satisfies never;
  }
}

function health(method: string): Answer {
  return method === "GET" || method === "HEAD"
    ? { status: 200, body: { status: "ok", version, function: "webhook" } }
    : rejected(405, "only GET is answered here", { allow: "GET, HEAD" });
}

function rejected(status: number, error: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, headers, body: { outcome: "reject", error } };
}

const notFound = rejected(404, "not found");
