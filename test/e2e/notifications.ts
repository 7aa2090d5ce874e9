import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    /** Where a test says that it wants to hear of pushes; absent: the registry reports them nowhere. */
    readonly notifications?: string;
  }
}

const listenersPath = "/listeners";
const forwardWithinMs = 10_000;

/**
 * The registry reports its pushes to one address, and several tests want to hear of them at a time: every report goes on
 * to all that listen, and is only taken when all of them have taken it. Where the address is taken, that is by another
 * project of the same run, or by another run: what listens there serves both.
 */
export default async function passPushesOn(project: TestProject): Promise<() => Promise<void>> {
  const { TESTBED_NOTIFY_URL: address = "" } = process.env;
  if (address === "") return async () => {};
  const { origin, hostname, port } = new URL(address);
  const server = await listen(hostname, Number(port));
  project.provide("notifications", `${origin}${listenersPath}`);
  return async () => {
    if (server === undefined) return;
    server.close();
    server.closeAllConnections();
  };
}

/** @returns `undefined`: the address is taken */
function listen(hostname: string, port: number): Promise<Server | undefined> {
  const listeners = new Set<string>();
  const server = createServer((request, response) => {
    take(listeners, request, response).catch((error: unknown) => {
      response.writeHead(503).end(String(error));
    });
  });
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else reject(error);
    });
    server.listen(port, hostname, () => resolve(server));
  });
}

async function take(
  listeners: Set<string>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { url = "/", method, headers } = request;
  const body = await buffer(request);
  if (url === listenersPath) {
    const listener = body.toString("utf8");
    if (method === "DELETE") listeners.delete(listener);
    else listeners.add(listener);
    response.writeHead(204).end();
    return;
  }
  const { "content-type": type = "application/octet-stream" } = headers;
  const answers = await Promise.all(
    [...listeners].map(async (listener) => {
      const signal = AbortSignal.timeout(forwardWithinMs);
      const sent = { method: "POST", headers: { "content-type": type }, body, signal };
      return (await fetch(`${listener}${url}`, sent)).ok;
    }),
  );
  response.writeHead(answers.every((ok) => ok) ? 200 : 503).end();
}
