import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import type { Log } from "../../log.ts";
import type { Delivering, DeliverOptions, DeliveryHandler, PubsubDelivery } from "../subscriber.ts";
import type { Claimed, Queue } from "./queue.ts";

/** Rings once after `afterMs`; the result cancels it. Must not keep the process alive. */
export type Timer = (afterMs: number, ring: () => void) => () => void;

export interface DeliveryContext {
  readonly queue: Queue;
  readonly clock: Clock;
  readonly timer: Timer;
  readonly log: Log;
  /** `projects/P/subscriptions/S`. */
  readonly subscription: string;
}

export interface LocalDelivering extends Delivering {
  /** Something may be due: look soon, without waiting for the timer. */
  poke(): void;
}

const defaults = {
  maxInFlight: 16,
  ackDeadlineMs: 60_000,
  minBackoffMs: 1_000,
  maxBackoffMs: 60_000,
  maxAttempts: 20,
  pollMs: 1_000,
} satisfies Required<DeliverOptions>;

/** Hands messages to `handler` until stopped. */
export function startDelivery(
  { queue, clock, timer, log, subscription }: DeliveryContext,
  handler: DeliveryHandler,
  options: DeliverOptions,
): LocalDelivering {
  const { maxInFlight, ackDeadlineMs, minBackoffMs, maxBackoffMs, maxAttempts, pollMs } = {
    ...defaults,
    ...options,
  };
  if (!(maxAttempts >= 5 && maxAttempts <= 100)) {
    throw new RangeError("Pub/Sub takes 5 to 100 delivery attempts");
  }
  const inFlight = new Set<Claimed>();
  let idleWaiters: (() => void)[] = [];
  let stopWaiters: (() => void)[] = [];
  let stopping = false;
  let poked = false;
  let cancelTimer = () => {};

  function poke(): void {
    if (poked) return;
    poked = true;
    setImmediate(look);
  }

  function look(): void {
    poked = false;
    cancelTimer();
    let nextMs = clock.now() + pollMs;
    try {
      nextMs = Math.min(nextMs, handOut());
    } catch (error) {
      log.write("warning", "the bus could not be read, trying again soon", { reason: messageOf(error) });
    }
    if (stopping && inFlight.size === 0) {
      for (const resolve of [...stopWaiters, ...idleWaiters]) resolve();
      stopWaiters = [];
      idleWaiters = [];
      return;
    }
    cancelTimer = timer(Math.max(0, nextMs - clock.now()), poke);
  }

  /** Starts what is due as far as there is room; returns when there is something to do again. */
  function handOut(): number {
    for (const message of inFlight) {
      if (message.deadlineMs <= clock.now()) inFlight.delete(message); // its answer, if one comes, is late
    }
    let dueMs = Number.POSITIVE_INFINITY;
    while (!stopping && inFlight.size < maxInFlight) {
      dueMs = queue.nextDueMs() ?? Number.POSITIVE_INFINITY;
      const nowMs = clock.now();
      if (dueMs > nowMs) break;
      for (const message of queue.claim(maxInFlight - inFlight.size, nowMs, nowMs + ackDeadlineMs))
        start(message);
    }
    if (inFlight.size === 0) {
      for (const resolve of idleWaiters) resolve();
      idleWaiters = [];
    }
    const deadlines = [...inFlight].map(({ deadlineMs }) => deadlineMs);
    return Math.min(inFlight.size < maxInFlight ? dueMs : Number.POSITIVE_INFINITY, ...deadlines);
  }

  function start(message: Claimed): void {
    // Delivered often enough before, and the last one was never answered.
    if (message.attempts > maxAttempts) {
      giveUp(message, maxAttempts);
      return;
    }
    inFlight.add(message);
    void answerOf(message).then((answer) => {
      inFlight.delete(message);
      try {
        if (answer === "ack") queue.acknowledge(message);
        else if (message.attempts >= maxAttempts) giveUp(message, message.attempts);
        else queue.postpone(message, clock.now() + backoffMs(message.attempts));
      } catch (error) {
        log.write("warning", "an answer to a message was lost: it is delivered again after its deadline", {
          messageId: message.id,
          reason: messageOf(error),
        });
      }
      poke();
    });
  }

  async function answerOf(message: Claimed): Promise<"ack" | "nack"> {
    try {
      return await handler(deliveryOf(message, subscription));
    } catch (error) {
      log.write("warning", "a message's handler failed", { messageId: message.id, reason: messageOf(error) });
      return "nack";
    }
  }

  function giveUp(message: Claimed, attempts: number): void {
    if (!queue.giveUp(message, attempts, clock.now())) return;
    log.write("error", "a message was delivered too often and set aside", {
      messageId: message.id,
      deliveries: attempts,
    });
  }

  function backoffMs(attempts: number): number {
    return Math.min(maxBackoffMs, minBackoffMs * 2 ** (attempts - 1));
  }

  poke();
  return {
    poke,
    stop: () => {
      stopping = true;
      return new Promise((resolve) => {
        stopWaiters.push(resolve);
        poke();
      });
    },
    idle: () =>
      new Promise((resolve) => {
        idleWaiters.push(resolve);
        poke();
      }),
  };
}

function deliveryOf(message: Claimed, subscription: string): PubsubDelivery {
  return {
    message: {
      data: Buffer.from(message.data).toString("base64"),
      attributes: message.attributes,
      messageId: message.id,
      publishTime: new Date(message.publishedMs).toISOString(),
      ...(message.orderingKey === undefined ? {} : { orderingKey: message.orderingKey }),
    },
    subscription,
    deliveryAttempt: message.attempts,
  };
}
