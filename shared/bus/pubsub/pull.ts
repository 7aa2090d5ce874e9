import { PubSub } from "@google-cloud/pubsub";
import * as z from "zod/mini";
import { BusUnavailableError } from "../../errors.ts";
import type { Log } from "../../log.ts";
import type { Bus } from "../bus.ts";
import { fullName, type PubsubName } from "../config.ts";
import { identityOf, type PubsubOptions, publishing, restOf } from "../pubsub.ts";
import type { Delivering, Subscriber } from "../subscriber.ts";
import { nodeCaller } from "./call.ts";
import { deadLetterSuffix, peek } from "./dead-letters.ts";
import { defaultIdentity } from "./default-identity.ts";
import { startPulling } from "./pulling.ts";

export interface PullOptions extends PubsubOptions {
  readonly log: Log;
  readonly subscription: PubsubName;
  /** Where to publish; undefined: the topic of the subscription, read once. */
  readonly topic: PubsubName | undefined;
}

const Described = z.object({ topic: z.string() });

/**
 * Pulls from a Pub/Sub subscription by Google's client, over outgoing connections only, and publishes to its topic. Calls
 * Pub/Sub as Application Default Credentials say: https://cloud.google.com/docs/authentication/application-default-credentials.
 */
export function pullBus(options: PullOptions): Bus & Subscriber {
  const { clock, log, emulatorHost } = options;
  const client = new PubSub({
    ...(options.project === undefined ? {} : { projectId: options.project }),
    ...(emulatorHost === undefined ? {} : { apiEndpoint: emulatorHost, emulatorMode: true }),
  });
  const caller = nodeCaller();
  const identity = identityOf({ ...options, identity: defaultIdentity(client.auth) }, caller);
  const rest = restOf(options, identity, caller);
  const running = new Set<Delivering>();
  let subscription: string | undefined;
  let topic: string | undefined;

  const nameOf = async (name: PubsubName, collection: "topics" | "subscriptions") =>
    fullName(name, collection, name.project ?? (await identity.project(projectMs)));
  const subscriptionOf = async () => {
    subscription ??= await nameOf(options.subscription, "subscriptions");
    return subscription;
  };
  const topicOf = async () => {
    topic ??= options.topic === undefined ? await described() : await nameOf(options.topic, "topics");
    return topic;
  };
  const described = async () => {
    const path = await subscriptionOf();
    const role = `roles/pubsub.viewer on ${path}, or a bus with \`?topic=TOPIC\``;
    const parsed = Described.safeParse(await rest({ method: "GET", path, role }));
    if (!parsed.success || !/^projects\/[^/]+\/topics\/[^/]+$/.test(parsed.data.topic)) {
      throw new BusUnavailableError(`${path} has no topic to publish to`);
    }
    return parsed.data.topic;
  };

  return {
    ...publishing(rest, topicOf),
    deliver: (handler, deliverOptions = {}) => {
      const pulling = startPulling({ client, subscriptionOf, clock, log }, handler, deliverOptions);
      running.add(pulling);
      return {
        idle: pulling.idle,
        stop: async () => {
          await pulling.stop();
          running.delete(pulling);
        },
      };
    },
    deadLetters: async (limit = 100) => {
      const deadTopic = `${await topicOf()}${deadLetterSuffix}`;
      return peek(rest, deadTopic.replace("/topics/", "/subscriptions/"), limit);
    },
    close: async () => {
      await Promise.all([...running].map((pulling) => pulling.stop()));
      await client.close();
      caller.close();
    },
  };
}

const projectMs = 3_000;
