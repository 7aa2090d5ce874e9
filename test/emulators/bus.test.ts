import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { cloudEvent } from "@google-cloud/functions-framework";
import { getTestServer } from "@google-cloud/functions-framework/testing";
import { type Message, PubSub } from "@google-cloud/pubsub";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { deliveryOf } from "../../functions/pubsub-event.ts";
import type { Bus, Message as BusMessage } from "../../shared/bus/bus.ts";
import { pullBus } from "../../shared/bus/pubsub/pull.ts";
import { pubsubBus } from "../../shared/bus/pubsub.ts";
import type { PubsubDelivery, Subscriber } from "../../shared/bus/subscriber.ts";
import { systemClock } from "../../shared/clock.ts";
import type { Delivery } from "../../shared/flows/take.ts";
import { jsonLog } from "../../shared/log.ts";
import { type BusUnderTest, busContract } from "../contracts/bus.ts";
import { type PubsubProject, type PubsubTopic, pubsubProject } from "./pubsub-emulator.ts";

const timing = { ackDeadlineMs: 2_000, minBackoffMs: 1_000, maxBackoffMs: 2_000, maxAttempts: 5 };

busContract("Pub/Sub, pulled, on the emulator", underTest, {
  timing,
  settledMs: 12_000,
  exhaustedMs: 30_000,
  concurrent: true,
  lacks: {
    recovery: "the emulator goes on sending to connections that are gone, for minutes",
    shares: "the emulator sends a stream all there is, however many messages it asked for",
    backoff: "the emulator's first retry comes after 0.1 s, whatever the policy says",
    order: "nothing is published under an ordering key, and the emulator keeps no order after a nack",
  },
});

describe("Pub/Sub as Google's own client sees it", () => {
  let project: PubsubProject;
  let topic: PubsubTopic;
  let client: PubSub;
  let bus: Bus & Subscriber;
  let lines: string[];

  beforeEach(async () => {
    project = pubsubProject();
    topic = await project.createTopic("landfall");
    client = new PubSub({ projectId: project.project, apiEndpoint: project.host, emulatorMode: true });
    lines = [];
    bus = pulling(project, project.host, (line) => lines.push(line));
  });
  afterEach(async () => {
    await bus.close();
    await client.close();
  });

  it("has what was published by REST, and only that", async () => {
    const rest = pubsubBus({
      ...optionsOf(project, project.host),
      topic: { project: undefined, id: "landfall" },
    });
    const subscription = client.subscription(topic.subscription);
    const heard: Message[] = [];
    const all = Promise.withResolvers<void>();
    subscription.on("message", (received) => {
      received.ack();
      if (heard.push(received) === 1_200) all.resolve();
    });
    const messages = Array.from({ length: 1_200 }, (_, seq) => goOn(seq));
    await rest.publish(messages);
    await all.promise;
    expect(heard.map(({ data }) => JSON.parse(data.toString()).seq).toSorted((a, b) => a - b)).toEqual(
      messages.map((_, seq) => seq),
    );
    expect(
      heard.every(({ attributes, orderingKey }) => !orderingKey && Object.keys(attributes).length === 0),
    ).toBe(true);
    await subscription.close();
    await rest.close();
  });

  it("hands over what the client publishes, attributes and order included", async () => {
    const heard = Promise.withResolvers<PubsubDelivery>();
    bus.deliver(async (delivery) => {
      heard.resolve(delivery);
      return "ack";
    });
    const data = Buffer.from([0x7b, 0xff, 0x00]);
    const [attributes, orderingKey] = [{ origin: "ci" }, "web"];
    const messageId = await client
      .topic("landfall", { messageOrdering: true })
      .publishMessage({ data, attributes, orderingKey });
    expect(await heard.promise).toMatchObject({
      message: { data: data.toString("base64"), attributes, messageId, orderingKey },
      subscription: topic.subscription,
      deliveryAttempt: 1,
    });
  });

  it("counts no deliveries of a subscription without a dead-letter policy", async () => {
    const path = `projects/${project.project}/subscriptions/plain`;
    await project.call("PUT", path, { topic: topic.topic });
    const plain = pulling(project, project.host, () => {}, "plain");
    const heard = Promise.withResolvers<PubsubDelivery>();
    plain.deliver(async (delivery) => {
      heard.resolve(delivery);
      return "ack";
    });
    await plain.publish([goOn(1)]);
    expect(await heard.promise).not.toHaveProperty("deliveryAttempt");
    await plain.close();
  });

  it("is tried again when the subscription is not there, until it is", async () => {
    await project.call("DELETE", topic.subscription);
    const heard = Promise.withResolvers<PubsubDelivery>();
    bus.deliver(async (delivery) => {
      heard.resolve(delivery);
      return "ack";
    });
    await vi.waitFor(
      () => expect(lines.join()).toMatch(/"reason":"projects\/.*landfall-builds does not exist: /),
      patient,
    );
    await project.call("PUT", topic.subscription, { topic: topic.topic });
    await client.topic("landfall").publishMessage({ data: Buffer.from("{}") });
    await heard.promise;
  });

  it("says where nothing can be published to", async () => {
    await project.call("DELETE", topic.topic);
    await expect(bus.publish([goOn(1)])).rejects.toMatchObject({
      code: "BUS_UNAVAILABLE",
      message: expect.stringMatching(/has no topic to publish to|NOT_FOUND/),
    });
  });

  it("pushes to the function what the function understands", async () => {
    const heard: Delivery[] = [];
    cloudEvent("pushed", (event: unknown) => {
      heard.push(deliveryOf(event));
    });
    const server = getTestServer("pushed").listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    await project.call("PUT", `projects/${project.project}/subscriptions/pushed`, {
      topic: topic.topic,
      pushConfig: { pushEndpoint: `http://127.0.0.1:${port}/${topic.topic}` },
    });
    const publish = (message: object) =>
      project.call("POST", `${topic.topic}:publish`, { messages: [message] });
    const data = Buffer.from(JSON.stringify(goOn(1))).toString("base64");
    await publish({ data });
    await publish({ attributes: { origin: "ci" } });
    await vi.waitFor(() => expect(heard).toHaveLength(2), patient);
    expect(heard.toSorted((a, b) => b.data.length - a.data.length)).toEqual([
      { messageId: expect.stringMatching(/^\d+$/), data, attributes: {}, redelivered: true },
      {
        messageId: expect.stringMatching(/^\d+$/),
        data: "",
        attributes: { origin: "ci" },
        redelivered: true,
      },
    ]);
    server.closeAllConnections();
    server.close();
  });
});

const patient = { timeout: 20_000, interval: 50 };

function goOn(seq: number): BusMessage {
  return { kind: "continue", workload: "swarm/web", seq };
}

function optionsOf(project: PubsubProject, emulatorHost: string) {
  return {
    clock: systemClock,
    random: Math.random,
    project: project.project,
    emulatorHost,
    metadataHost: undefined,
  };
}

function pulling(
  project: PubsubProject,
  emulatorHost: string,
  print: (line: string) => void,
  subscription = "landfall-builds",
): Bus & Subscriber {
  return pullBus({
    ...optionsOf(project, emulatorHost),
    log: jsonLog(print),
    subscription: { project: undefined, id: subscription },
    topic: undefined,
  });
}

async function underTest(): Promise<BusUnderTest> {
  const project = pubsubProject();
  await project.createTopic("landfall");
  const members: { readonly bus: Bus; readonly way: Way }[] = [];
  const ways = await Promise.all([1, 2, 3].map(() => wayTo(project.host)));
  return {
    join: () => {
      const way = ways.pop();
      if (way === undefined) throw new Error("the contract has three processes at most");
      const bus = pulling(project, way.host, () => {});
      members.push({ bus, way });
      return {
        bus,
        deliver: (handler, options) =>
          bus.deliver(handler, { ackDeadlineMs: timing.ackDeadlineMs, ...options }),
        deadLetters: () => bus.deadLetters(),
        crash: () => way.cut(),
      };
    },
    elapse: (ms) => pause(ms),
    close: async () => {
      await Promise.all(members.map(({ bus }) => bus.close()));
      for (const { way } of members) way.cut();
    },
  };
}

/** A way to the emulator that can be cut, as the death of a process does. */
interface Way {
  readonly host: string;
  cut(): void;
}

async function wayTo(emulator: string): Promise<Way> {
  const [host, port] = emulator.split(":");
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    const onward = connect(Number(port), host);
    for (const each of [socket, onward]) {
      sockets.add(each);
      each.on("error", () => {}).on("close", () => sockets.delete(each));
    }
    socket.pipe(onward).pipe(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
