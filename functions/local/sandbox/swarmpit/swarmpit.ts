import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Clock } from "../../../../shared/clock.ts";
import { messageOf } from "../../../../shared/errors.ts";
import { httpClient } from "../../../../shared/http.ts";
import { Accounts, type SwarmpitRole, type SwarmpitUser } from "./accounts.ts";
import { type Engine, Refusal } from "./engine.ts";
import type { SwarmpitQuirks } from "./operations.ts";
import type { RegistryAccount } from "./registries.ts";
import { admit, routesOf } from "./routes.ts";

export interface SandboxSwarmpitOptions {
  /** Default: any free one. */
  readonly port?: number;
  readonly engine: Engine;
  readonly registryAccounts?: readonly RegistryAccount[];
  /** Where Docker Hub is for this Swarmpit; absent: unreachable. */
  readonly hub?: string;
  /** Default: `admin`, an admin. */
  readonly users?: readonly SwarmpitUser[];
  readonly quirks?: Partial<SwarmpitQuirks>;
  readonly clock: Clock;
}

/** What goes wrong with one request. */
export type SwarmpitFault =
  | { readonly kind: "hang" }
  /** Nothing is done. `marked`: the answer carries Swarmpit's own header. */
  | { readonly kind: "answer"; readonly status: number; readonly body?: string; readonly marked?: boolean }
  /** It is done, and the connection is cut instead of an answer. */
  | { readonly kind: "lose-answer" }
  | { readonly kind: "out-of-sequence" }
  /** The registry lags behind: a redeploy pins this digest. */
  | { readonly kind: "resolve"; readonly digest: string };

/** `read`: whatever is none of the others. */
type CallKind = "read" | "redeploy" | "rollback";

interface SwarmpitRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** 0 when no answer was given. */
  status: number;
}

export interface SandboxSwarmpit {
  /** The origin and `/api`, as a target's `url` wants it. */
  readonly url: string;
  readonly requests: SwarmpitRequest[];
  /** A new API token of that user, in the form that Swarmpit shows it; it ends the one before. */
  token(username?: string): string;
  setRole(username: string, role: SwarmpitRole): void;
  removeUser(username: string): void;
  /** The next request of that kind goes wrong; several wait in line. */
  fail(on: CallKind, fault: SwarmpitFault): void;
  close(): Promise<void>;
}

const standard: SwarmpitQuirks = {
  viewersMayWrite: false,
  ignoresTagQuery: false,
  danglingAt: false,
};
const mark = { "x-backend-server": "swarmpit" };

/** A Swarmpit 1.11 over a Docker engine, real or small. Its agent and its event stream are not there. */
export async function startSandboxSwarmpit(options: SandboxSwarmpitOptions): Promise<SandboxSwarmpit> {
  const quirks = { ...standard, ...options.quirks };
  const accounts = new Accounts(
    options.users ?? [{ username: "admin", password: "admin", role: "admin" }],
    options.clock,
  );
  const http = httpClient();
  const around = { engine: options.engine, http, hub: options.hub, quirks };
  const routes = routesOf(around, accounts, options.registryAccounts ?? []);
  const requests: SwarmpitRequest[] = [];
  const faults: Record<CallKind, SwarmpitFault[]> = { read: [], redeploy: [], rollback: [] };

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const method = request.method ?? "";
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://swarmpit");
    const entry: SwarmpitRequest = { method, path: request.url ?? "/", status: 0 };
    requests.push(entry);
    const kind = (["redeploy", "rollback"] as const).find((each) => pathname.endsWith(`/${each}`)) ?? "read";
    const fault = pathname.startsWith("/api/") ? faults[kind].shift() : undefined;
    const send = (status: number, text: string, headers: Record<string, string>) => {
      if (fault?.kind === "lose-answer") {
        response.destroy();
        return;
      }
      entry.status = status;
      response.writeHead(status, headers).end(text);
    };
    if (fault?.kind === "hang") return;
    if (fault?.kind === "answer") {
      return send(fault.status, fault.body ?? "", {
        ...(fault.marked === true ? mark : {}),
        ...(fault.body?.startsWith("{") ? { "content-type": "application/json" } : {}),
      });
    }
    try {
      const on = routes.flatMap((route) => {
        const match = route.path.exec(pathname);
        return match === null ? [] : [{ route, parameters: match.slice(1).map(decodeURIComponent) }];
      });
      const found = on.find(({ route }) => route.method === method);
      if (found === undefined) return send(on.length === 0 ? 404 : 405, "", {});
      const { authorization } = request.headers;
      const reply = await found.route.handle({
        authorization,
        parameters: found.parameters,
        query: searchParams,
        caller: admit(found.route, accounts, authorization, quirks),
        faults: {
          outOfSequence: fault?.kind === "out-of-sequence",
          digest: fault?.kind === "resolve" ? fault.digest : undefined,
        },
      });
      if (reply.body === undefined) return send(reply.status, "", {});
      send(reply.status, JSON.stringify(reply.body), { "content-type": "application/json" });
    } catch (error) {
      const refusal = error instanceof Refusal ? error : new Refusal(500, messageOf(error));
      send(refusal.status, JSON.stringify({ error: refusal.text }), {
        "content-type": "application/json",
        ...(refusal.marked ? mark : {}),
      });
    }
  };

  const server = createServer((request, response) => {
    request.resume();
    void serve(request, response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/api`,
    requests,
    token: (username = "admin") => accounts.makeApiToken(accounts.user(username)),
    setRole: (username, role) => {
      accounts.user(username).role = role;
    },
    removeUser: (username) => accounts.remove(username),
    fail: (on, fault) => {
      faults[on].push(fault);
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await http.close();
    },
  };
}
