import { randomUUID } from "node:crypto";

/** The Pub/Sub emulator that `PUBSUB_EMULATOR_HOST` names, and a project of its own in it. */
export interface PubsubProject {
  /** Host and port. */
  readonly host: string;
  readonly project: string;
  /** A topic with a subscription for builds, and the dead-letter topic with one of the same name. */
  createTopic(id: string, policy?: SubscriptionPolicy): Promise<PubsubTopic>;
  /** @throws Error with what the emulator says */
  call(method: "GET" | "PUT" | "POST" | "DELETE", path: string, body?: object): Promise<unknown>;
}

export interface PubsubTopic {
  /** `projects/P/topics/T` */
  readonly topic: string;
  /** `projects/P/subscriptions/S` */
  readonly subscription: string;
  readonly deadLetters: string;
}

/** Durations as Pub/Sub writes them: `1.5s`. */
export interface SubscriptionPolicy {
  readonly minimumBackoff?: string;
  readonly maximumBackoff?: string;
  readonly maxDeliveryAttempts?: number;
  readonly ackDeadlineSeconds?: number;
  readonly pushEndpoint?: string;
}

export function pubsubProject(): PubsubProject {
  const host = process.env.PUBSUB_EMULATOR_HOST;
  if (host === undefined || host === "") {
    throw new Error(
      "PUBSUB_EMULATOR_HOST is not set: host and port of a running Pub/Sub emulator, e.g. 127.0.0.1:8085",
    );
  }
  const project = `demo-${randomUUID()}`;
  const call: PubsubProject["call"] = async (method, path, body) => {
    const answer = await fetch(`http://${host}/v1/${path}`, {
      method,
      headers: { "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return JSON.parse(text);
  };

  return {
    host,
    project,
    call,
    async createTopic(id, policy = {}) {
      const topic = `projects/${project}/topics/${id}`;
      const subscription = `projects/${project}/subscriptions/${id}-builds`;
      const deadTopic = `${topic}-dead-letter`;
      const deadLetters = deadTopic.replace("/topics/", "/subscriptions/");
      await call("PUT", topic, {});
      await call("PUT", deadTopic, {});
      await call("PUT", deadLetters, { topic: deadTopic, ackDeadlineSeconds: 10 });
      const { minimumBackoff = "1s", maximumBackoff = "2s", maxDeliveryAttempts = 5, pushEndpoint } = policy;
      await call("PUT", subscription, {
        topic,
        ackDeadlineSeconds: policy.ackDeadlineSeconds ?? 10,
        retryPolicy: { minimumBackoff, maximumBackoff },
        deadLetterPolicy: { deadLetterTopic: deadTopic, maxDeliveryAttempts },
        ...(pushEndpoint === undefined ? {} : { pushConfig: { pushEndpoint } }),
      });
      return { topic, subscription, deadLetters };
    },
  };
}
