import type { Clock } from "../clock.ts";
import { asking, type EmbeddedStore, openEmbedded } from "../embedded-store.ts";
import { BusUnavailableError } from "../errors.ts";
import { type Log, silentLog } from "../log.ts";
import type { Bus, Message } from "./bus.ts";
import { type LocalDelivering, startDelivery, type Timer } from "./inline/delivery.ts";
import { messageQueue, type QueuedMessage } from "./inline/queue.ts";
import type { Subscriber } from "./subscriber.ts";

export interface InlineBusOptions {
  /** A path, which is opened here and closed with the bus, or a store that its opener closes. */
  readonly store: EmbeddedStore | string;
  readonly clock: Clock;
  readonly log?: Log;
  /** Default: `setTimeout`, not keeping the process alive. */
  readonly timer?: Timer;
  /** Messages of one key are delivered one after the other; default none has a key. */
  readonly orderingKey?: (message: Message) => string | undefined;
  /** What deliveries call themselves, default `projects/local/subscriptions/landfall-builds`. */
  readonly subscription?: string;
}

export interface InlineBus extends Bus, Subscriber {}

/**
 * Pub/Sub's semantics in tables of the embedded store. Messages of this process are delivered at once, those of
 * other processes within the poll interval; a process that dies leaves its messages to the others when their
 * deadline has passed.
 */
export function inlineBus(options: InlineBusOptions): InlineBus {
  const {
    clock,
    log = silentLog,
    timer = unreferenced,
    orderingKey = () => undefined,
    subscription = "projects/local/subscriptions/landfall-builds",
  } = options;
  const store = typeof options.store === "string" ? openEmbedded(options.store) : options.store;
  const queue = messageQueue(store, subscription);
  const running = new Set<LocalDelivering>();
  const ask = async <T>(act: () => T): Promise<T> => asking(act, BusUnavailableError);
  const put = (messages: readonly QueuedMessage[]): readonly string[] => {
    const ids = queue.put(messages, clock.now());
    for (const delivering of running) delivering.poke();
    return ids;
  };

  return {
    publish: (messages) =>
      ask(() => {
        put(
          messages.map((message) => ({
            data: JSON.stringify(message),
            attributes: {},
            orderingKey: orderingKey(message),
          })),
        );
      }),

    publishText: (data) => ask(() => put([{ data, attributes: {} }]).join()),

    deadLetter: (data, attributes, reason) =>
      ask(() => queue.setAside({ data, attributes }, reason, clock.now())),

    deliver: (handler, deliverOptions = {}) => {
      const delivering = startDelivery({ queue, clock, timer, log, subscription }, handler, deliverOptions);
      running.add(delivering);
      return {
        idle: delivering.idle,
        stop: async () => {
          await delivering.stop();
          running.delete(delivering);
        },
      };
    },

    deadLetters: (limit = 100) => ask(() => queue.deadLetters(limit)),

    close: async () => {
      await Promise.all([...running].map((delivering) => delivering.stop()));
      if (typeof options.store === "string") store.close();
    },
  };
}

const unreferenced: Timer = (afterMs, ring) => {
  const timeout = setTimeout(ring, afterMs).unref();
  return () => clearTimeout(timeout);
};
