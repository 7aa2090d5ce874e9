import { once } from "node:events";
import { createServer, type RequestListener, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { getTestServer } from "@google-cloud/functions-framework/testing";
import type { PubsubDelivery } from "../../shared/bus/subscriber.ts";
import { messageOf } from "../../shared/errors.ts";
import { httpClient } from "../../shared/http.ts";
import { version } from "../../shared/version.ts";
import { registerFunctions } from "../register.ts";
import type { Wiring } from "../wiring.ts";
import { periods } from "./periods.ts";

export const functionNames = ["webhook", "builds", "reconcile"] as const;
export type FunctionName = (typeof functionNames)[number];

export interface RunnerOptions {
  readonly wiring: Wiring;
  /** Which functions run in this process, default all. Without the webhook the port answers `/health` only. */
  readonly only?: readonly FunctionName[];
  /** Whether messages for builds are taken from the bus, default yes; else they are to come to `/events`. */
  readonly delivers?: boolean;
  /** 0: any free one. */
  readonly port: number;
  readonly host: string;
  /** Whether everything is compared each quarter of an hour, as Cloud Scheduler has it done; default no. */
  readonly comparing?: boolean;
  /** What the runner's own timer proves itself with to the reconcile function. */
  readonly timerToken: string;
}

export interface Runner {
  readonly url: string;
  /** Carries unfinished work on now, as the timer does each minute. */
  sweep(): Promise<void>;
  /** Compares what runs with what is wanted now, as the timer does each quarter of an hour. */
  compare(): Promise<void>;
  /** Takes nothing more, lets what is in flight come to rest, and closes everything. */
  stop(): Promise<void>;
}

const sweepEveryMs = 60_000;
const compareEveryMs = 15 * 60_000;
/** A full run that takes longer goes on; nobody waits for its answer then. */
const compareDeadlineMs = 10 * 60_000;
/** Longer than an invocation's budget and the calls that it may be in the middle of. */
const deliveryDeadlineMs = 90_000;

/**
 * Functions on one port, as in the cloud but for three things: messages come from the bus as the CloudEvents that Eventarc
 * would send, a timer stands for Cloud Scheduler, and `/events` is for this machine only, since nobody proves himself
 * there.
 */
export async function startRunner(options: RunnerOptions): Promise<Runner> {
  const { wiring, timerToken, only = functionNames } = options;
  registerFunctions(() => wiring);
  const listener = routed(only);
  const isPublic = only.includes("webhook");
  const front = await listening(isPublic ? listener : healthOnly(only), options.port, options.host);
  const inside = isPublic ? front : await listening(listener, 0, "127.0.0.1");
  const origin = `http://127.0.0.1:${portOf(inside)}`;
  const http = httpClient({ connections: 64 });

  const subscriber =
    only.includes("builds") && options.delivers !== false ? await wiring.subscriber() : undefined;
  const delivering = subscriber?.deliver(
    async (delivery) => {
      const answer = await http.request({
        method: "POST",
        url: `${origin}/events`,
        headers: cloudEventHeaders(delivery),
        body: JSON.stringify(delivery),
        deadlineMs: deliveryDeadlineMs,
        maxBytes: 64 * 1024,
      });
      return answer.status >= 200 && answer.status < 300 ? "ack" : "nack";
    },
    { ackDeadlineMs: deliveryDeadlineMs },
  );

  const schedule = async (job: string, mode: "sweep" | "full", deadlineMs: number) => {
    try {
      const answer = await http.request({
        method: "POST",
        url: `${origin}/reconcile`,
        headers: {
          authorization: `Bearer ${timerToken}`,
          "content-type": "application/json",
          "x-cloudscheduler": "true",
          "x-cloudscheduler-jobname": job,
          "x-cloudscheduler-scheduletime": new Date(wiring.clock.now()).toISOString(),
        },
        body: JSON.stringify({ mode }),
        deadlineMs,
        maxBytes: 16 * 1024 * 1024,
      });
      // 409: a person's full run, or another process's, is under way.
      if (answer.status === 200 || answer.status === 409) return;
      wiring.log.write("error", `${job} was answered with ${answer.status}`);
    } catch (error) {
      wiring.log.write("error", `${job} did not run: ${messageOf(error)}`);
    }
  };
  const sweep = () => schedule("landfall-sweep", "sweep", deliveryDeadlineMs);
  const compare = () => schedule("landfall-full-run", "full", compareDeadlineMs);
  const isTimeToCompare = periods(wiring.clock, compareEveryMs);
  const tick = () => {
    void sweep();
    if (options.comparing === true && isTimeToCompare()) void compare();
  };
  const timer = only.includes("reconcile") ? setInterval(tick, sweepEveryMs) : undefined;
  if (timer !== undefined) await sweep();

  return {
    url: `http://${options.host === "0.0.0.0" ? "127.0.0.1" : options.host}:${portOf(front)}`,
    sweep,
    compare,
    stop: async () => {
      clearInterval(timer);
      await delivering?.stop();
      const servers = new Set([front, inside]);
      const closed = Promise.all([...servers].map((server) => once(server, "close")));
      for (const server of servers) {
        server.close();
        server.closeIdleConnections();
      }
      await http.close();
      await closed;
      await wiring.close();
    },
  };
}

/** Each path to its function, where that runs here. */
function routed(only: readonly FunctionName[]): RequestListener {
  const [webhook, builds, reconcile] = functionNames.map((name) =>
    only.includes(name) ? appOf(name) : notHere,
  );
  return (request, response) => {
    const path = request.url?.split("?", 1)[0] ?? "/";
    if (path === "/reconcile" || path === "/SmartRedeploy") return reconcile?.(request, response);
    if (path !== "/events") return webhook?.(request, response);
    if (!isLoopback(request.socket.remoteAddress))
      return answer(response, 403, { error: "only from this machine" });
    request.url = "/";
    builds?.(request, response);
  };
}

function healthOnly(functions: readonly FunctionName[]): RequestListener {
  return (request, response) =>
    request.url === "/health" && (request.method === "GET" || request.method === "HEAD")
      ? answer(response, 200, { status: "ok", version, functions })
      : notHere(request, response);
}

const notHere: RequestListener = (_, response) => answer(response, 404, { error: "not found" });

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

async function listening(listener: RequestListener, port: number, host: string): Promise<Server> {
  const server = createServer(listener).listen(port, host);
  await once(server, "listening");
  return server;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** The Express app that the framework made for a function: its middleware, and none of its signal handlers. */
function appOf(name: string): RequestListener {
  const [listener] = getTestServer(name).listeners("request");
  if (listener === undefined) throw new Error(`the framework made no server for ${name}`);
  return listener as RequestListener;
}

/**
 * Binary mode, as Eventarc sends it: https://cloud.google.com/eventarc/docs/cloudevents. The subscription stands where
 * Eventarc names the topic, which a subscriber need not be allowed to know.
 */
function cloudEventHeaders({ message, subscription }: PubsubDelivery): Readonly<Record<string, string>> {
  return {
    "content-type": "application/json",
    "ce-specversion": "1.0",
    "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
    "ce-source": `//pubsub.googleapis.com/${subscription}`,
    "ce-id": message.messageId,
    "ce-time": message.publishTime,
  };
}

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && (/^(::ffff:)?127\./.test(address) || address === "::1");
}
