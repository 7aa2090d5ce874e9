import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import {
  type Answer,
  answerInstead,
  Faults,
  sendBadly,
} from "../../functions/local/sandbox/registry/faults.ts";
import { httpClient } from "../../shared/http.ts";

/** What stands between Landfall and a system that is in order itself: the way to it has the faults. */
export interface FaultyProxy {
  readonly port: number;
  /** e.g. `http://127.0.0.1:41234` */
  readonly url: string;
  readonly faults: Faults;
  /** `METHOD /path` of each call that came through to the system behind it, oldest first. */
  readonly passed: readonly string[];
  /** Nobody listens any more: connections are refused. */
  refuse(): Promise<void>;
  /** Listens again, at the same port. */
  admit(): Promise<void>;
  close(): Promise<void>;
}

export interface FaultyProxyOptions {
  /** Origin of the system behind it. */
  readonly to: string;
  /** A call will not be answered in time; it had this header `x-call`. Default: nobody wants to know. */
  readonly onSilence?: (call: string) => void;
  /** The path that the system behind it is asked for in the place of the one that came in; default the same. */
  readonly instead?: (path: string) => string;
}

const deadlineMs = 10_000;
const maxBytes = 64 * 1024 * 1024;
/** Headers of one connection, which end at a proxy. */
const ofConnection = new Set(["connection", "keep-alive", "transfer-encoding", "host", "content-length"]);

export async function faultyProxy(options: FaultyProxyOptions): Promise<FaultyProxy> {
  const { to, onSilence, instead: insteadOf = (path) => path } = options;
  const faults = new Faults();
  const http = httpClient({ connections: 64 });
  const passed: string[] = [];

  const forward = async (method: string, path: string, request: IncomingMessage, body: Buffer) => {
    passed.push(`${method} ${path}`);
    const answer = await http.request({
      method: method as "GET",
      url: `${to}${insteadOf(path)}`,
      headers: headersOf(request.headers),
      ...(body.length === 0 ? {} : { body }),
      deadlineMs,
      maxBytes,
    });
    const length = method === "HEAD" ? answer.headers["content-length"] : undefined;
    const headers = {
      ...headersOf(answer.headers),
      ...(typeof length === "string" ? { "content-length": length } : {}),
    };
    return { status: answer.status, headers, body: answer.body } satisfies Answer;
  };

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = "GET", url: path = "/" } = request;
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const fault = faults.meet({ method, path });
    const silent = () => onSilence?.(String(request.headers["x-call"]));
    const instead = answerInstead(fault);
    if (instead === "hang") return silent();
    if (instead === "reset" || instead === "not-http") {
      if (instead === "not-http") response.socket?.write("SSH-2.0-OpenSSH_9.9\r\n");
      response.socket?.destroySoon();
      return;
    }
    const answer = instead ?? (await forward(method, path, request, Buffer.concat(chunks)));
    if (fault?.kind === "lost-answer") {
      response.socket?.destroy();
    } else if (fault?.kind === "half-body" || fault?.kind === "slow-drip") {
      sendBadly(response, answer, method !== "HEAD", fault);
      if (fault.kind === "slow-drip") silent();
    } else {
      response.writeHead(answer.status, answer.headers);
      response.end(method === "HEAD" ? undefined : answer.body);
    }
  };

  const listen = (port: number) =>
    new Promise<Server>((resolve, reject) => {
      const made = createServer((request, response) => {
        serve(request, response).catch(() => response.destroy());
      });
      made.once("error", reject).listen(port, "127.0.0.1", () => resolve(made));
    });
  let server = await listen(0);
  const { port } = server.address() as AddressInfo;
  const refuse = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });

  return {
    port,
    url: `http://127.0.0.1:${port}`,
    faults,
    passed,
    refuse,
    admit: async () => {
      server = await listen(port);
    },
    close: async () => {
      if (server.listening) await refuse();
      await http.close();
    },
  };
}

function headersOf(
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
): Record<string, string> {
  const kept = Object.entries(headers).filter(([name]) => !ofConnection.has(name));
  return Object.fromEntries(kept.map(([name, value]) => [name, String(value)]));
}
