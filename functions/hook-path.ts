import { subscribe } from "node:diagnostics_channel";
import type { IncomingMessage } from "node:http";
import { sourceNames } from "../shared/domain/push.ts";
import type { Delivery } from "../shared/flows/receive.ts";

/** The paths of hooks as they were received. */
const hookPaths = new WeakMap<IncomingMessage, string>();
const shownPath = "/hooks/hidden";

export function isHook(url: string): boolean {
  return /^\/hooks(?:[/?]|$)/.test(url);
}

/**
 * Shows everything between Node and the function, for all servers of this process, another path than a hook's own,
 * which may hold a secret: Express prints one that it cannot decode to the log and in its answer.
 */
export function hideHookPaths(): void {
  subscribe("http.server.request.start", (message) => {
    const { request } = message as { readonly request: IncomingMessage };
    const url = request.url ?? "";
    if (hookPaths.has(request) || !isHook(url)) return;
    hookPaths.set(request, url.split("?", 1)[0] ?? "");
    request.url = shownPath;
  });
}

/** What a hook's path says; `undefined` when it has no such form. */
export function hookOf(request: IncomingMessage): Pick<Delivery, "source" | "secret"> | undefined {
  const path = hookPaths.get(request) ?? "";
  const [, first, second] = /^\/hooks\/([^/]+)(?:\/([^/]+))?\/?$/.exec(path) ?? [];
  if (first === undefined) return undefined;
  if (second !== undefined) return { source: decoded(first), secret: decoded(second) };
  // `/hooks/{secret}` is Docker Hub's; no secret is a source's name.
  return sourceNames.some((name) => name === first)
    ? { source: first }
    : { source: "dockerhub", secret: decoded(first) };
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
