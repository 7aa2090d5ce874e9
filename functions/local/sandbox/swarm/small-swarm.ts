import { createServer } from "node:http";
import type { Clock } from "../../../../shared/clock.ts";
import { compareVersions, engineApi } from "./engine-api.ts";
import { type FetchContent, type PulledImage, pull } from "./image.ts";
import { advance, type Progress, type Timing } from "./progress.ts";
import { emptyState, type SwarmState } from "./state.ts";

export interface SmallSwarmOptions {
  readonly clock: Clock;
  readonly content: FetchContent;
  readonly timing?: Partial<Timing>;
  /** Whether its node takes new tasks, as a node that is down or drained does not; default it does. */
  readonly takesTasks?: () => boolean;
  /** What an earlier swarm's `snapshot` gave. */
  readonly state?: SwarmState;
}

interface EngineAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What can go wrong on the way to an engine, or in it. */
export type Fault = { readonly on?: RegExp; readonly times?: number } & (
  | { readonly kind: "hang" }
  /** The connection breaks before anything is done. */
  | { readonly kind: "drop" }
  /** It is done, and the answer is lost. */
  | { readonly kind: "lose-answer" }
  /** Somebody else writes first: every version moves. */
  | { readonly kind: "conflict" }
  | { readonly kind: "answer"; readonly status: number; readonly message: string }
);

/** The connection broke: who calls in-process sees what a client of a socket would. */
class ConnectionLostError extends Error {}

export interface SmallSwarm {
  /**
   * One call of the Docker Engine API.
   * @param path with its query, e.g. `/v1.41/services?status=true`
   * @param headers names in lower case
   * @throws ConnectionLostError only when a fault says so
   */
  handle(
    method: string,
    path: string,
    body?: string,
    headers?: Readonly<Record<string, string | undefined>>,
  ): Promise<EngineAnswer>;
  /** Serves the same over HTTP, on a port of 127.0.0.1 (0: any) or a socket's path. */
  listen(at: number | string): Promise<{ readonly port: number; close(): Promise<void> }>;
  /** The next calls whose `METHOD /path` matches `on` meet this fault; once, if nothing else is said. */
  inject(fault: Fault): void;
  /** Does what is due by now and gives a copy of everything: plain JSON. */
  snapshot(): Promise<SwarmState>;
  restore(state: SwarmState): void;
  /** `METHOD /path` of the last 1000 calls, oldest first. */
  readonly calls: readonly string[];
  /** API versions that it speaks; may be set at any time, as an upgrade of the engine would. */
  readonly versions: { newest: string; oldest: string };
}

const keptCalls = 1000;
const defaultTiming: Timing = { beginMs: 50, pullMs: 200, startMs: 100, stopMs: 100 };

/**
 * A Docker Swarm of one node, in memory, that behaves as a real manager does towards a deployer: versions that
 * jump, updates in steps, failures, rollbacks, the same words. It runs nothing: an image runs for ever, or
 * exits as its `Cmd` says.
 */
export function smallSwarm(options: SmallSwarmOptions): SmallSwarm {
  const { clock, content } = options;
  let state = options.state === undefined ? emptyState() : structuredClone(options.state);
  const versions = { newest: "1.41", oldest: "1.12" };
  const calls: string[] = [];
  const faults: { fault: Fault; left: number }[] = [];
  const onNode = new Map<string, PulledImage>();
  let last: Promise<unknown> = Promise.resolve();

  const progress = (): Progress => ({
    state,
    timing: { ...defaultTiming, ...options.timing },
    takesTasks: options.takesTasks?.() ?? true,
    async pull(service, image) {
      const known = onNode.get(image);
      if (known !== undefined) return known;
      const pulled = await pull(content, image, service.credentials).catch(() => undefined);
      if (pulled !== undefined && image.includes("@")) onNode.set(image, pulled);
      return pulled;
    },
  });

  /** One after the other: a step may wait for a registry, and two must not do it twice. */
  function inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = last.then(act);
    last = turn.catch(() => undefined);
    return turn;
  }

  function faultFor(call: string): Fault | undefined {
    const found = faults.find(
      ({ fault, left }) => left > 0 && (fault.on === undefined || fault.on.test(call)),
    );
    if (found !== undefined) found.left -= 1;
    return found?.fault;
  }

  async function serve(method: string, path: string, body: string, header: string | undefined) {
    const match = /^\/v(\d+\.\d+)(\/.*)$/.exec(path);
    const asked = match?.[1];
    if (asked !== undefined && compareVersions(asked, versions.newest) > 0) {
      return json(400, {
        message: `client version ${asked} is too new. Maximum supported API version is ${versions.newest}`,
      });
    }
    if (asked !== undefined && compareVersions(asked, versions.oldest) < 0) {
      const upgrade = "please upgrade your client to a newer version";
      return text(
        400,
        `client version ${asked} is too old. Minimum supported API version is ${versions.oldest}, ${upgrade}`,
      );
    }
    const url = new URL(match?.[2] ?? path, "http://engine");
    if (url.pathname === "/_ping") return { ...text(200, "OK"), headers: { "api-version": versions.newest } };
    return inTurn(async () => {
      await advance(progress(), clock.now());
      const context = { progress: progress(), content, nowMs: clock.now(), versions, registryAuth: header };
      const answer = await engineApi(context, method, url, body);
      return json(answer.status, answer.body);
    });
  }

  const swarm: SmallSwarm = {
    async handle(method, path, body = "", headers = {}) {
      const call = `${method} ${path}`;
      calls.push(call);
      if (calls.length > keptCalls) calls.shift();
      const fault = faultFor(call);
      switch (fault?.kind) {
        case "hang":
          return new Promise(() => {});
        case "drop":
          throw new ConnectionLostError("the connection broke");
        case "answer":
          return json(fault.status, { message: fault.message });
        case "conflict":
          for (const service of state.services) service.version = state.index += 1;
          break;
        case "lose-answer":
          await serve(method, path, body, headers["x-registry-auth"]);
          throw new ConnectionLostError("the connection broke");
        case undefined:
          break;
        default:
          return fault satisfies never;
      }
      return serve(method, path, body, headers["x-registry-auth"]);
    },

    async listen(at) {
      const server = createServer((request, response) => {
        const chunks: Buffer[] = [];
        request.on("data", (chunk: Buffer) => chunks.push(chunk));
        request.on("end", () => {
          const { method = "GET", url = "/", headers } = request;
          const single = { "x-registry-auth": headers["x-registry-auth"]?.toString() };
          swarm.handle(method, url, Buffer.concat(chunks).toString(), single).then(
            (answer) => response.writeHead(answer.status, answer.headers).end(answer.body),
            () => request.socket.destroy(),
          );
        });
      });
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject).once("listening", resolve);
        if (typeof at === "number") server.listen(at, "127.0.0.1");
        else server.listen(at);
      });
      const address = server.address();
      return {
        port: typeof address === "object" ? (address?.port ?? 0) : 0,
        close: () =>
          new Promise((resolve) => {
            server.close(() => resolve());
            server.closeAllConnections();
          }),
      };
    },

    inject: (fault) => void faults.push({ fault, left: fault.times ?? 1 }),
    snapshot: () =>
      inTurn(async () => {
        await advance(progress(), clock.now());
        return structuredClone(state);
      }),
    restore: (from) => {
      state = structuredClone(from);
    },
    calls,
    versions,
  };
  return swarm;
}

function json(status: number, body: unknown): EngineAnswer {
  return { status, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

function text(status: number, body: string): EngineAnswer {
  return { status, headers: { "content-type": "text/plain; charset=utf-8" }, body };
}
