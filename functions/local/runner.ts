import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { getTestServer } from "@google-cloud/functions-framework/testing";
import type { PubsubDelivery } from "../../shared/bus/subscriber.ts";
import { messageOf } from "../../shared/errors.ts";
import { httpClient } from "../../shared/http.ts";
import { registerFunctions } from "../register.ts";
import type { Wiring } from "../wiring.ts";

export interface RunnerOptions {
  readonly wiring: Wiring;
  /** 0: any free one. */
  readonly port: number;
  readonly host: string;
  /** What the runner's own timer proves itself with to the reconcile function. */
  readonly timerToken: string;
}

export interface Runner {
  readonly url: string;
  /** Carries unfinished work on now, as the timer does each minute. */
  sweep(): Promise<void>;
  /** Takes nothing more, lets what is in flight come to rest, and closes everything. */
  stop(): Promise<void>;
}

const sweepEveryMs = 60_000;
/** Longer than an invocation's budget and the calls that it may be in the middle of. */
const deliveryDeadlineMs = 90_000;

/**
 * All three functions on one port, as in the cloud but for three things: messages come from the inline bus as the
 * CloudEvents that Eventarc would send, a timer stands for Cloud Scheduler, and `/events` is for this machine only,
 * since nobody proves himself there.
 */
export async function startRunner(options: RunnerOptions): Promise<Runner> {
  const { wiring, timerToken } = options;
  registerFunctions(() => wiring);
  const webhook = appOf("webhook");
  const builds = appOf("builds");
  const reconcile = appOf("reconcile");
  const server = createServer((request, response) => {
    const path = request.url?.split("?", 1)[0] ?? "/";
    if (path === "/reconcile" || path === "/SmartRedeploy") return reconcile(request, response);
    if (path !== "/events") return webhook(request, response);
    if (!isLoopback(request.socket.remoteAddress)) {
      response
        .writeHead(403, { "content-type": "application/json" })
        .end('{"error":"only from this machine"}');
      return;
    }
    request.url = "/";
    builds(request, response);
  });
  server.listen(options.port, options.host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const origin = `http://127.0.0.1:${port}`;
  const http = httpClient({ connections: 64 });

  const subscriber = await wiring.subscriber();
  const delivering = subscriber.deliver(
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

  const sweep = async () => {
    try {
      const answer = await http.request({
        method: "POST",
        url: `${origin}/reconcile`,
        headers: {
          authorization: `Bearer ${timerToken}`,
          "content-type": "application/json",
          "x-cloudscheduler": "true",
          "x-cloudscheduler-jobname": "landfall-sweep",
          "x-cloudscheduler-scheduletime": new Date(wiring.clock.now()).toISOString(),
        },
        body: '{"mode":"sweep"}',
        deadlineMs: deliveryDeadlineMs,
        maxBytes: 1024 * 1024,
      });
      if (answer.status !== 200) wiring.log.write("error", `the sweep was answered with ${answer.status}`);
    } catch (error) {
      wiring.log.write("error", `the sweep did not run: ${messageOf(error)}`);
    }
  };
  const timer = setInterval(() => void sweep(), sweepEveryMs);
  await sweep();

  return {
    url: `http://${options.host === "0.0.0.0" ? "127.0.0.1" : options.host}:${port}`,
    sweep,
    stop: async () => {
      clearInterval(timer);
      await delivering.stop();
      const closed = once(server, "close");
      server.close();
      server.closeIdleConnections();
      await http.close();
      await closed;
      await wiring.close();
    },
  };
}

/** The Express app that the framework made for a function: its middleware, and none of its signal handlers. */
function appOf(name: string): RequestListener {
  const [listener] = getTestServer(name).listeners("request");
  if (listener === undefined) throw new Error(`the framework made no server for ${name}`);
  return listener as RequestListener;
}

/** Binary mode, as Eventarc sends it: https://cloud.google.com/eventarc/docs/cloudevents. */
function cloudEventHeaders({ message }: PubsubDelivery): Readonly<Record<string, string>> {
  return {
    "content-type": "application/json",
    "ce-specversion": "1.0",
    "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
    "ce-source": "//pubsub.googleapis.com/projects/local/topics/landfall",
    "ce-id": message.messageId,
    "ce-time": message.publishTime,
  };
}

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && (/^(::ffff:)?127\./.test(address) || address === "::1");
}
