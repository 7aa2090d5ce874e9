import { Agent, type Dispatcher } from "undici";
import type { HttpOptions } from "./http.ts";

const connectTimeoutMs = 5_000;

/** What `httpClient` sends with. In a file of its own so that undici can be loaded late. */
export function httpAgent(options: HttpOptions): Dispatcher {
  return new Agent({
    connections: options.connections ?? 16,
    keepAliveTimeout: 20_000,
    connect: {
      timeout: connectTimeoutMs,
      ...(options.socketPath === undefined ? {} : { socketPath: options.socketPath }),
      ...(options.ca === undefined ? {} : { ca: options.ca }),
      ...(options.cert === undefined ? {} : { cert: options.cert }),
      ...(options.key === undefined ? {} : { key: options.key }),
      ...(options.servername === undefined ? {} : { servername: options.servername }),
    },
  });
}
