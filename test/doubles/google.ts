import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What Google is asked for: a token or project of the metadata server, a cluster of GKE, or a call of Pub/Sub. */
interface GoogleRequest {
  readonly to: "token" | "project" | "cluster" | "pubsub";
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: unknown;
}

/** `answer`: instead of the usual one. `hang`: never. `break`: the connection ends without one. `half`: in the middle. */
export type Trouble =
  | {
      readonly kind: "answer";
      readonly status: number;
      readonly body?: string;
      readonly headers?: Record<string, string>;
    }
  | { readonly kind: "hang" | "break" | "half" };

/**
 * Pub/Sub's and GKE's REST interfaces and a metadata server on one port: takes everything that is published, and
 * describes its one cluster, with a current token.
 */
export interface Google {
  /** Host and port. */
  readonly host: string;
  readonly requests: GoogleRequest[];
  /** Connections so far. */
  connections(): number;
  /** What the next requests of a kind meet, first first. */
  readonly troubles: Record<GoogleRequest["to"], Trouble[]>;
  /** How long a token lasts, s. */
  lastsS: number;
  /** How the container API describes the cluster. */
  cluster: object;
  /** No token handed out so far is good any more. */
  revoke(): void;
  close(): Promise<void>;
}

export async function startGoogle(): Promise<Google> {
  let tokens = 0;
  let goodFrom = 1;
  let connections = 0;
  const requests: GoogleRequest[] = [];
  const troubles: Google["troubles"] = { token: [], project: [], cluster: [], pubsub: [] };

  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString("utf8");
    const path = request.url ?? "";
    const to = askedOf(path);
    const { method = "", headers } = request;
    const heard: GoogleRequest = {
      to,
      method,
      path,
      headers,
      body: text === "" ? undefined : JSON.parse(text),
    };
    requests.push(heard);
    give(troubles[to].shift() ?? usual(heard), response);
  });
  server.on("connection", () => connections++);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  function usual({ to, headers, body }: GoogleRequest): Trouble & { kind: "answer" } {
    if (to === "pubsub" || to === "cluster") {
      const token = Number(/^Bearer token-(\d+)$/.exec(headers.authorization ?? "")?.[1]);
      if (!(token >= goodFrom)) {
        return { kind: "answer", status: 401, body: errorBody(401, "UNAUTHENTICATED", "no valid token") };
      }
      if (to === "cluster") return { kind: "answer", status: 200, body: JSON.stringify(google.cluster) };
      const { messages = [] } = body as { readonly messages?: readonly unknown[] };
      const messageIds = messages.map((_, index) => String(index));
      return { kind: "answer", status: 200, body: JSON.stringify({ messageIds }) };
    }
    const flavor = { "metadata-flavor": "Google" };
    if (headers["metadata-flavor"] !== "Google") return { kind: "answer", status: 403 };
    if (to === "project") return { kind: "answer", status: 200, body: "from-metadata\n", headers: flavor };
    const token = { access_token: `token-${++tokens}`, expires_in: google.lastsS, token_type: "Bearer" };
    return { kind: "answer", status: 200, body: JSON.stringify(token), headers: flavor };
  }

  const google: Google = {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    connections: () => connections,
    troubles,
    lastsS: 3_599,
    cluster: {},
    revoke: () => {
      goodFrom = tokens + 1;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return google;
}

function askedOf(path: string): GoogleRequest["to"] {
  const { pathname } = new URL(path, "http://google");
  if (pathname.endsWith("/token")) return "token";
  if (pathname.endsWith("/project-id")) return "project";
  return /\/clusters\/[^/:]+$/.test(pathname) ? "cluster" : "pubsub";
}

function give(trouble: Trouble, response: ServerResponse): void {
  switch (trouble.kind) {
    case "answer":
      send(response, trouble.status, trouble.body ?? "", trouble.headers);
      break;
    case "hang":
      break;
    case "break":
      response.destroy();
      break;
    case "half":
      response.writeHead(200, { "content-length": "1000" }).write('{"messageIds":');
      setImmediate(() => response.destroy());
      break;
    default:
      trouble satisfies never;
  }
}

/** As Google's interfaces word an error. */
export function errorBody(code: number, status: string, message: string): string {
  return JSON.stringify({ error: { code, message, status } });
}

function send(
  response: ServerResponse,
  status: number,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(body);
}
