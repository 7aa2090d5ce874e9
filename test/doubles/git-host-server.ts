import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import {
  type Answer,
  answerInstead,
  Faults,
  type SeenRequest,
  sendBadly,
} from "../../functions/local/sandbox/registry/faults.ts";

export interface HostCall extends SeenRequest {
  readonly url: URL;
  header(name: string): string | undefined;
  /** What was sent along. */
  body(): Promise<Buffer>;
}

export interface AnsweredCall extends HostCall {
  readonly status: number;
  readonly bytes: number;
}

/** A git host on a port of its own, with faults to switch on. */
export interface GitHostServer {
  /** e.g. `http://127.0.0.1:41234` */
  readonly origin: string;
  readonly faults: Faults;
  /** Oldest first; what was never answered is not in it. */
  readonly requests: readonly AnsweredCall[];
  /** The most requests that were under way at the same time. */
  readonly mostAtOnce: number;
  forgetRequests(): void;
  close(): Promise<void>;
}

export async function gitHostServer(answer: (call: HostCall) => Promise<Answer>): Promise<GitHostServer> {
  const faults = new Faults();
  const requests: AnsweredCall[] = [];
  let underWay = 0;
  let mostAtOnce = 0;

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = "GET", url: path = "/" } = request;
    const fault = faults.meet({ method, path });
    const instead = answerInstead(fault);
    if (instead === "hang") return;
    if (instead === "reset" || instead === "not-http") {
      if (instead === "not-http") response.socket?.write("SSH-2.0-OpenSSH_9.9\r\n");
      response.socket?.destroySoon();
      return;
    }
    let sent: Promise<Buffer> | undefined;
    const call: HostCall = {
      method,
      path,
      url: new URL(path, origin),
      header: (name) => {
        const value = request.headers[name];
        return typeof value === "string" ? value : value?.[0];
      },
      body: () => (sent ??= buffer(request)),
    };
    const given = instead ?? (await answer(call));
    requests.push({ ...call, status: given.status, bytes: given.body.length });
    if (fault?.kind === "half-body" || fault?.kind === "slow-drip") {
      sendBadly(response, given, true, fault);
      return;
    }
    response.writeHead(given.status, given.headers);
    response.end(given.body);
  };

  const server = createServer((request, response) => {
    underWay += 1;
    mostAtOnce = Math.max(mostAtOnce, underWay);
    response.once("close", () => {
      underWay -= 1;
    });
    serve(request, response).catch((error: unknown) => {
      response.statusCode = 500;
      response.end(String(error));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  return {
    origin,
    faults,
    requests,
    get mostAtOnce() {
      return mostAtOnce;
    },
    forgetRequests: () => {
      requests.length = 0;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export function jsonAnswer(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  return {
    status,
    headers: { "content-type": "application/json; charset=utf-8", ...headers },
    body: Buffer.from(JSON.stringify(value)),
  };
}
