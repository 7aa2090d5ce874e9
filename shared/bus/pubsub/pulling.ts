import {
  Duration,
  type Message,
  type PubSub,
  type Subscription,
  SubscriptionCloseBehaviors,
} from "@google-cloud/pubsub";
import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import type { Log } from "../../log.ts";
import type { Delivering, DeliverOptions, DeliveryHandler, PubsubDelivery } from "../subscriber.ts";

export interface PullingContext {
  readonly client: PubSub;
  /** `projects/P/subscriptions/S`. @throws BusUnavailableError */
  readonly subscriptionOf: () => Promise<string>;
  readonly clock: Clock;
  readonly log: Log;
}

const defaults = { maxInFlight: 16, ackDeadlineMs: 60_000 };
/** Between two tries to open a stream that Pub/Sub refuses for good; what passes, Google's client tries again itself. */
const reopen = { firstMs: 1_000, longestMs: 60_000 };
/** What Google's client needs to hand the last answers over. */
const flushMs = 5_000;
const quietMs = 1_000;

/**
 * Hands the messages of a subscription to `handler` until stopped. The client extends a message's lease meanwhile; one
 * without an answer after `ackDeadlineMs` is given back.
 */
export function startPulling(
  { client, subscriptionOf, clock, log }: PullingContext,
  handler: DeliveryHandler,
  options: DeliverOptions,
): Delivering {
  const { maxInFlight, ackDeadlineMs } = { ...defaults, ...options };
  const stopping = new AbortController();
  const inFlight = new Set<Promise<void>>();
  /** The client takes whole batches from the stream, however little room there is. */
  const waiting: { readonly message: Message; readonly subscription: string }[] = [];
  let current: Subscription | undefined;
  let taken = 0;

  function take(message: Message, subscription: string): void {
    taken++;
    waiting.push({ message, subscription });
    handOut();
  }

  function handOut(): void {
    while (!stopping.signal.aborted && inFlight.size < maxInFlight) {
      const next = waiting.shift();
      if (next === undefined) return;
      const handling = handle(next.message, next.subscription).finally(() => {
        inFlight.delete(handling);
        handOut();
      });
      inFlight.add(handling);
    }
  }

  async function handle(message: Message, subscription: string): Promise<void> {
    const answered = new AbortController();
    const late = clock.sleep(ackDeadlineMs, answered.signal).then(() => "late" as const);
    const answer = await Promise.race([answerOf(message, subscription), late]);
    answered.abort();
    if (answer === "ack") message.ack();
    else message.nack();
    if (answer === "late") {
      log.write("warning", "a message was not answered in time and given back", { messageId: message.id });
    }
  }

  async function answerOf(message: Message, subscription: string): Promise<"ack" | "nack"> {
    try {
      return await handler(deliveryOf(message, subscription));
    } catch (error) {
      log.write("warning", "a message's handler failed", { messageId: message.id, reason: messageOf(error) });
      return "nack";
    }
  }

  /** Pulls until the stream ends for good. @returns why */
  async function pull(): Promise<string> {
    const name = await subscriptionOf();
    if (stopping.signal.aborted) return "stopped";
    const lease = Duration.from({ milliseconds: ackDeadlineMs + flushMs });
    const subscription = client.subscription(name, {
      // Each stream may hold that many, and what one process holds no other one gets.
      streamingOptions: { maxStreams: 1 },
      flowControl: { maxMessages: maxInFlight, allowExcessMessages: true },
      // In one piece: with the network away the client would extend shorter leases a thousand times a second.
      minAckDeadline: lease,
      maxExtensionTime: lease,
      closeOptions: { behavior: SubscriptionCloseBehaviors.WaitForProcessing, timeout: lease },
    });
    current = subscription;
    return new Promise((resolve) => {
      subscription.on("error", (error) => resolve(reasonOf(error, name)));
      subscription.on("close", () => resolve("the stream was closed"));
      subscription.on("message", (message) => take(message, name));
    });
  }

  async function pullOn(): Promise<void> {
    let waitMs = reopen.firstMs;
    while (!stopping.signal.aborted) {
      const startedMs = clock.monotonic();
      const reason = await pull().catch(messageOf);
      if (stopping.signal.aborted) return;
      log.write("error", "pulling messages broke off, it is tried again", { reason });
      await clock.sleep(waitMs, stopping.signal);
      const held = clock.monotonic() - startedMs > 2 * reopen.longestMs;
      waitMs = held ? reopen.firstMs : Math.min(2 * waitMs, reopen.longestMs);
    }
  }

  const pulling = pullOn();
  return {
    stop: async () => {
      stopping.abort();
      const closed = current?.close(); // takes nothing more from here on
      for (const { message } of waiting.splice(0)) message.nack();
      await Promise.all([...inFlight]);
      await closed;
      await pulling;
    },
    idle: async () => {
      for (let before = -1; before !== taken || inFlight.size > 0; ) {
        before = taken;
        await clock.sleep(quietMs);
      }
    },
  };
}

function deliveryOf(message: Message, subscription: string): PubsubDelivery {
  return {
    message: {
      data: message.data.toString("base64"),
      attributes: message.attributes,
      messageId: message.id,
      publishTime: shortest(message.publishTime.toISOString()),
      ...(message.orderingKey ? { orderingKey: message.orderingKey } : {}),
    },
    subscription,
    ...(message.deliveryAttempt > 0 ? { deliveryAttempt: message.deliveryAttempt } : {}),
  };
}

/** Three, six or nine digits of a second, or none, as protocol buffers print times in JSON. */
function shortest(time: string): string {
  return time.replace(/\.?(?:000)+Z$/, "Z");
}

/** https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
const grpc = { notFound: 5, permissionDenied: 7 };

function reasonOf(error: Error, subscription: string): string {
  const code = "code" in error ? error.code : undefined;
  if (code === grpc.notFound) return `${subscription} does not exist: ${error.message}`;
  if (code === grpc.permissionDenied)
    return `${error.message}; it takes roles/pubsub.subscriber on ${subscription}`;
  return error.message;
}
