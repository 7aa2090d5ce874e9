import { subscribe } from "node:diagnostics_channel";
import type { IncomingMessage, Server, ServerResponse } from "node:http";

/** Cloud Run kills an instance 10 s after SIGTERM. */
const drainMs = 9_000;

/**
 * Makes SIGTERM and SIGINT wait for the requests in flight, then exit with 0. The Functions Framework exits at once
 * and answers the latest request with 500, so whatever it (or anybody else in this process) registers for these
 * signals afterwards is taken off again: call this before the server is made, in processes that serve functions.
 * @returns aborted by the signal: no new long work should be started
 */
export function drainOnSignals(): AbortSignal {
  const draining = new AbortController();
  const inFlight = new Set<ServerResponse>();
  const servers = new Set<Server>();

  subscribe("http.server.request.start", (message) => {
    const { response, server } = message as {
      readonly request: IncomingMessage;
      readonly response: ServerResponse;
      readonly server: Server;
    };
    servers.add(server);
    inFlight.add(response);
    response.once("close", () => {
      inFlight.delete(response);
      if (draining.signal.aborted) exitWhenIdle();
    });
  });

  process.on("newListener", (name: string, listener: () => void) => {
    if ((name === "SIGTERM" || name === "SIGINT") && listener !== drain) {
      queueMicrotask(() => process.removeListener(name, listener));
    }
  });
  process.on("SIGTERM", drain);
  process.on("SIGINT", drain);
  return draining.signal;

  function drain(): void {
    if (draining.signal.aborted) return;
    draining.abort();
    for (const server of servers) server.close();
    setTimeout(() => process.exit(0), drainMs).unref();
    exitWhenIdle();
  }

  /** In a later turn: what an answered request was about to do is done then. */
  function exitWhenIdle(): void {
    setImmediate(() => {
      if (inFlight.size === 0) process.exit(0);
    });
  }
}
