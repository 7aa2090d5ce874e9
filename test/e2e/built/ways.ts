import { once } from "node:events";
import { Agent, createServer, type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import {
  connect,
  createServer as createServer2,
  type IncomingHttpHeaders as Headers2,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo, Server } from "node:net";
import { buffer } from "node:stream/consumers";

/** A call on its way. */
export interface Crossing {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly body: Buffer;
}

export interface Crossed {
  readonly status: number;
  readonly body: Buffer;
}

/** Decides over each call. `forward` does it; `undefined` in place of an answer cuts the caller off. */
export type Guard = <T extends Crossed>(
  crossing: Crossing,
  forward: () => Promise<T>,
) => Promise<T | undefined>;

/** A way to another system: whole calls go in, whole answers come back. */
export interface Way {
  /** `host:port`; empty on a socket. */
  readonly host: string;
  close(): Promise<void>;
}

interface HttpAnswer extends Crossed {
  readonly headers: IncomingHttpHeaders;
}

/** What belongs to one connection ends with it. */
const ofConnection = new Set(["connection", "keep-alive", "transfer-encoding", "http2-settings", "upgrade"]);

/**
 * A way by HTTP/1.1.
 * @param to where it leads: `host:port`, asked for each call, or a socket
 * @param at socket to listen at; default any free port
 */
export async function httpWay(
  to: { readonly host: () => string } | { readonly socketPath: string },
  guard: Guard,
  at?: string,
): Promise<Way> {
  const agent = new Agent({ keepAlive: true });
  const ask = ({ method, path, body }: Crossing, headers: IncomingHttpHeaders) =>
    new Promise<HttpAnswer>((resolve, reject) => {
      const [host, port] = "host" in to ? to.host().split(":") : [];
      const place = "host" in to ? { host, port } : { socketPath: to.socketPath };
      const asked = request({ ...place, agent, method, path, headers }, (answer) => {
        buffer(answer).then(
          (read) => resolve({ status: answer.statusCode ?? 502, headers: answer.headers, body: read }),
          reject,
        );
      });
      asked.on("error", reject).end(body);
    });
  const serve = async (incoming: IncomingMessage) => {
    const { method = "GET", url: path = "/" } = incoming;
    const crossing = { method, path, body: await buffer(incoming) };
    return guard(crossing, () => ask(crossing, own(incoming.headers)));
  };
  const server = createServer((incoming, outgoing) => {
    serve(incoming).then(
      (answer) => {
        if (answer === undefined) return void outgoing.destroy();
        outgoing.writeHead(answer.status, own(answer.headers)).end(answer.body);
      },
      () => outgoing.destroy(),
    );
  });
  const host = await listening(server, at);
  return {
    host,
    close: async () => {
      server.close();
      server.closeAllConnections();
      agent.destroy();
    },
  };
}

interface GrpcAnswer extends Crossed {
  readonly headers: Headers2;
  readonly trailers: Headers2 | undefined;
}

/**
 * A way by HTTP/2 without TLS, for gRPC. A call whose answer is a stream passes too, when the stream has ended.
 * @param to `host:port`
 */
export async function grpcWay(to: string, guard: Guard): Promise<Way> {
  const client = connect(`http://${to}`).on("error", () => {});
  await once(client, "connect");
  const ask = (headers: Headers2, body: Buffer) =>
    new Promise<GrpcAnswer>((resolve, reject) => {
      const asked = client.request(own(headers)).on("error", reject);
      let answered: Headers2 = {};
      let trailers: Headers2 | undefined;
      asked.on("response", (got) => {
        answered = got;
      });
      asked.on("trailers", (got) => {
        trailers = got;
      });
      buffer(asked).then(
        (read) =>
          resolve({ status: Number(answered[":status"] ?? 502), headers: answered, trailers, body: read }),
        reject,
      );
      asked.end(body);
    });
  const serve = async (stream: ServerHttp2Stream, headers: Headers2): Promise<void> => {
    const body = await buffer(stream);
    const crossing = { method: headers[":method"] ?? "", path: headers[":path"] ?? "", body };
    const answer = await guard(crossing, () => ask(headers, body));
    if (stream.destroyed) return;
    if (answer === undefined) return stream.session?.destroy();
    const { trailers } = answer;
    if (trailers === undefined) {
      stream.respond(own(answer.headers));
    } else {
      stream.on("wantTrailers", () => stream.sendTrailers(own(trailers)));
      stream.respond(own(answer.headers), { waitForTrailers: true });
    }
    stream.end(answer.body);
  };
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer2();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("error", () => {}).on("close", () => sessions.delete(session));
  });
  server.on("stream", (stream, headers) => {
    stream.on("error", () => {});
    serve(stream, headers).catch(() => stream.destroy());
  });
  const host = await listening(server);
  return {
    host,
    close: async () => {
      server.close();
      for (const session of sessions) session.destroy();
      client.destroy();
    },
  };
}

async function listening(server: Server, at?: string): Promise<string> {
  server.listen(at === undefined ? { host: "127.0.0.1", port: 0 } : { path: at });
  await once(server, "listening");
  return at === undefined ? `127.0.0.1:${(server.address() as AddressInfo).port}` : "";
}

function own<T extends object>(headers: T): T {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !ofConnection.has(name))) as T;
}
