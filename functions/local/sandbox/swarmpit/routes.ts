import type { Accounts, SwarmpitCaller } from "./accounts.ts";
import { callEngine, type Engine, Refusal } from "./engine.ts";
import * as operations from "./operations.ts";
import type { RegistryAccount } from "./registries.ts";

interface Reply {
  readonly status: number;
  readonly body?: unknown;
}
type Handler = (call: Call) => Promise<Reply> | Reply;
interface Call {
  readonly authorization: string | undefined;
  readonly parameters: readonly string[];
  readonly query: URLSearchParams;
  readonly caller: SwarmpitCaller;
  readonly faults: operations.RedeployFaults;
}
export interface Route {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: RegExp;
  readonly access: "public" | "any" | "writer";
  readonly handle: Handler;
}

const nobody: SwarmpitCaller = { user: { username: "", password: "", role: "viewer" }, jti: "" };

/** @throws Refusal, marked as Swarmpit's own */
export function admit(
  route: Route,
  accounts: Accounts,
  authorization: string | undefined,
  quirks: operations.SwarmpitQuirks,
): SwarmpitCaller {
  if (route.access === "public") return nobody;
  const caller = accounts.caller(authorization);
  if (route.access === "writer" && caller.user.role === "viewer" && !quirks.viewersMayWrite) {
    throw new Refusal(403, "Unauthorized user access", true);
  }
  return caller;
}

/** Every path of Swarmpit's API that a deployer may need. */
export function routesOf(
  around: operations.Surroundings,
  accounts: Accounts,
  registryAccounts: readonly RegistryAccount[],
): readonly Route[] {
  const { engine, quirks } = around;
  const usable = (caller: SwarmpitCaller) =>
    registryAccounts.filter(
      (account) => account.public === true || (account.owner ?? "admin") === caller.user.username,
    );
  const route = (access: Route["access"], method: Route["method"], path: string, handle: Handler): Route => ({
    access,
    method,
    path: new RegExp(`^${path.replaceAll(/:\w+/g, "([^/]+)")}$`),
    handle,
  });
  const ok = async (body: Promise<unknown>): Promise<Reply> => ({ status: 200, body: await body });
  const done = async (status: number, work: Promise<void>): Promise<Reply> => {
    await work;
    return { status };
  };
  const id = (call: Call) => call.parameters[0] ?? "";
  return [
    route("public", "GET", "/version", () => ok(version(engine, quirks))),
    route("public", "POST", "/login", (call) => ({
      status: 200,
      body: { token: accounts.login(call.authorization) },
    })),
    route("any", "POST", "/logout", (call) => {
      accounts.logout(call.caller);
      return { status: 200 };
    }),
    route("any", "POST", "/api-token", (call) => ({
      status: 200,
      body: { token: accounts.makeApiToken(call.caller.user) },
    })),
    route("any", "DELETE", "/api-token", (call) => {
      accounts.dropApiToken(call.caller.user);
      return { status: 200 };
    }),
    route("any", "GET", "/api/me", ({ caller: { user } }) => ({
      status: 200,
      body: {
        username: user.username,
        email: null,
        role: user.role,
        "api-token": user.apiToken === undefined ? null : { jti: user.apiToken, mask: "****" },
      },
    })),
    route("any", "GET", "/api/services", () => ok(operations.services(engine))),
    route("any", "GET", "/api/services/:id", (call) => ok(operations.service(engine, id(call)))),
    route("any", "GET", "/api/services/:id/tasks", (call) => ok(operations.serviceTasks(engine, id(call)))),
    route("any", "GET", "/api/tasks", () => ok(operations.tasks(engine))),
    route("any", "GET", "/api/stacks/:name/services", (call) =>
      ok(operations.services(engine).then((all) => all.filter((each) => each.stack === id(call)))),
    ),
    route("writer", "POST", "/api/services/:id/redeploy", (call) =>
      done(
        202,
        operations.redeploy(around, usable(call.caller), id(call), call.query.get("tag"), call.faults),
      ),
    ),
    route("writer", "POST", "/api/services/:id/rollback", (call) =>
      done(202, operations.rollback(engine, id(call), call.faults)),
    ),
    route("writer", "POST", "/api/services/:id/stop", (call) => done(200, operations.stop(engine, id(call)))),
  ];
}

async function version(engine: Engine, quirks: operations.SwarmpitQuirks) {
  const docker = (await callEngine(engine, "GET", "/version")) as { ApiVersion?: string; Version?: string };
  return {
    name: "swarmpit",
    version: operations.releaseOf(quirks),
    revision: null,
    initialized: true,
    statistics: false,
    instanceName: null,
    docker: { api: Number(docker.ApiVersion ?? "0"), engine: docker.Version ?? null },
  };
}
