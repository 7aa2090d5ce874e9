import { describe, expect, it } from "vitest";
import type { Bus, Message } from "../../shared/bus/bus.ts";
import type {
  DeadLetter,
  Delivering,
  DeliverOptions,
  DeliveryHandler,
  PubsubDelivery,
} from "../../shared/bus/subscriber.ts";
import type { WorkloadId } from "../../shared/domain/workload.ts";

/** One process on the bus. */
interface BusProcess {
  readonly bus: Bus;
  deliver(handler: DeliveryHandler, options?: Pick<DeliverOptions, "maxInFlight">): Delivering;
  deadLetters(): Promise<readonly DeadLetter[]>;
  /** The process dies: its handlers' answers reach nobody. */
  crash(): void;
}

/** A bus of its own with an empty subscription, ordered by `busOrderingKey` and set up as the contract's timing says. */
export interface BusUnderTest {
  join(): BusProcess;
  /** Time passes on the bus's clock, and what became due has been handed out. */
  elapse(ms: number): Promise<void>;
  close(): Promise<void>;
}

export const busTiming = {
  ackDeadlineMs: 10_000,
  minBackoffMs: 1_000,
  maxBackoffMs: 8_000,
  maxAttempts: 5,
};

export interface BusContractOptions {
  readonly timing?: typeof busTiming;
  /** After so long nothing more comes of what was answered; default ten deadlines. */
  readonly settledMs?: number;
  /** After so long a message that nobody acknowledges has had all its attempts; default twenty deadlines. */
  readonly exhaustedMs?: number;
  /** Sentences side by side: for buses on the real clock. */
  readonly concurrent?: boolean;
  /** Promises that are not kept here, and why: their sentences are not asked. */
  readonly lacks?: Partial<Record<"backoff" | "order" | "recovery" | "shares", string>>;
}

interface World {
  readonly under: BusUnderTest;
  readonly process: BusProcess;
  until(what: string, met: () => boolean): Promise<void>;
}

/** Messages about a workload named `ordered/…` are in order. */
export function busOrderingKey(message: Message): string | undefined {
  return message.kind === "continue" && message.workload.startsWith("ordered/")
    ? message.workload
    : undefined;
}

/** What every bus promises. */
export function busContract(
  name: string,
  make: () => Promise<BusUnderTest>,
  options: BusContractOptions = {},
): void {
  const { timing = busTiming, lacks = {}, concurrent = false } = options;
  const { settledMs = 10 * timing.ackDeadlineMs, exhaustedMs = 20 * timing.ackDeadlineMs } = options;

  /** A sentence, and which promise it is about if not every bus keeps that. */
  function kept(sentence: string, hold: (world: World) => Promise<void>, promise?: keyof typeof lacks): void {
    if (promise !== undefined && lacks[promise] !== undefined) {
      return;
    }
    it(sentence, async () => {
      const under = await make();
      try {
        await hold({ under, process: under.join(), until: (what, met) => until(under, what, met) });
      } finally {
        await under.close();
      }
    });
  }

  describe(`${name} keeps the bus's contract`, { concurrent }, () => {
    kept("delivers what was published, as Pub/Sub shows it", async ({ process, until }) => {
      const heard = recorder();
      process.deliver(heard.acknowledge);
      const message = plain(7, "swarm/ünï");
      await process.bus.publish([message]);
      await until("the delivery", () => heard.deliveries.length === 1);
      const [delivery] = heard.deliveries;
      expect(delivery).toEqual({
        message: {
          data: Buffer.from(JSON.stringify(message)).toString("base64"),
          attributes: {},
          messageId: expect.stringMatching(/./),
          publishTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/),
        },
        subscription: expect.stringMatching(/^projects\/[^/]+\/subscriptions\/[^/]+$/),
        deliveryAttempt: 1,
      });
    });

    kept(
      "delivers each message of a batch, under an id of its own, and none again once acknowledged",
      async ({ under, process, until }) => {
        const heard = recorder();
        process.deliver(heard.acknowledge);
        await process.bus.publish([plain(1), plain(2), plain(2)]);
        await until("three deliveries", () => heard.deliveries.length === 3);
        await under.elapse(settledMs);
        expect(heard.seqs().toSorted()).toEqual([1, 2, 2]);
        expect(new Set(heard.ids()).size).toBe(3);
      },
    );

    kept("names the id that a text is delivered under, and leaves the text as it is", async (world) => {
      const { process, until } = world;
      const heard = recorder();
      process.deliver(heard.acknowledge);
      const text = '{ "image":"acme/ünï" }';
      const id = await process.bus.publishText(text);
      await until("the delivery", () => heard.deliveries.length === 1);
      expect(heard.ids()).toEqual([id]);
      expect(heard.deliveries[0]?.message.data).toBe(Buffer.from(text).toString("base64"));
    });

    kept("takes an empty batch", async ({ process }) => {
      await expect(process.bus.publish([])).resolves.toBeUndefined();
    });

    kept(
      "has a message durable when publish resolves: it outlives its publisher",
      async ({ under, process, until }) => {
        await process.bus.publish([plain(1)]);
        process.crash();
        const heard = recorder();
        under.join().deliver(heard.acknowledge);
        await until("the delivery", () => heard.deliveries.length === 1);
      },
    );

    kept("delivers what another process publishes later", async ({ under, process, until }) => {
      const heard = recorder();
      process.deliver(heard.acknowledge);
      await under.elapse(0);
      await under.join().bus.publish([plain(1)]);
      await until("the delivery", () => heard.deliveries.length === 1);
    });

    for (const { what, refuse } of [
      { what: "a nack", refuse: async () => "nack" as const },
      { what: "a handler that throws", refuse: () => Promise.reject(new Error("the ledger is away")) },
    ]) {
      kept(`delivers again after ${what}, and counts the attempts`, async ({ under, process, until }) => {
        const heard = recorder();
        process.deliver((delivery) => {
          void heard.acknowledge(delivery);
          return Number(delivery.deliveryAttempt) < 3 ? refuse() : Promise.resolve("ack");
        });
        await process.bus.publish([plain(1)]);
        await until("the third delivery", () => heard.deliveries.length === 3);
        await under.elapse(settledMs);
        expect(heard.deliveries.map(({ deliveryAttempt }) => deliveryAttempt)).toEqual([1, 2, 3]);
        expect(new Set(heard.ids()).size).toBe(1);
      });

      kept(
        `does not deliver again after ${what} before the backoff`,
        async ({ under, process, until }) => {
          const heard = recorder();
          process.deliver((delivery) => {
            void heard.acknowledge(delivery);
            return refuse();
          });
          await process.bus.publish([plain(1)]);
          await until("the first delivery", () => heard.deliveries.length === 1);
          await under.elapse(timing.minBackoffMs / 2);
          expect(heard.deliveries).toHaveLength(1);
          await until("the second delivery", () => heard.deliveries.length === 2);
        },
        "backoff",
      );
    }

    kept("delivers again when no answer comes before the deadline", async ({ under, process, until }) => {
      const heard = recorder();
      process.deliver((delivery) => {
        void heard.acknowledge(delivery);
        return delivery.deliveryAttempt === 1 ? never : Promise.resolve("ack");
      });
      await process.bus.publish([plain(1)]);
      await until("the first delivery", () => heard.deliveries.length === 1);
      await under.elapse(timing.ackDeadlineMs / 2);
      expect(heard.deliveries).toHaveLength(1);
      await until("the second delivery", () => heard.deliveries.length === 2);
      expect(heard.deliveries.map(({ deliveryAttempt }) => deliveryAttempt)).toEqual([1, 2]);
    });

    kept(
      "gives what a dead process had in flight to another, with its id",
      async ({ under, process, until }) => {
        const first = recorder();
        process.deliver((delivery) => {
          void first.acknowledge(delivery);
          return never;
        });
        await process.bus.publish([plain(1), plain(2)]);
        await until("both in flight", () => first.deliveries.length === 2);
        process.crash();
        const second = recorder();
        under.join().deliver(second.acknowledge);
        await under.elapse(timing.ackDeadlineMs + timing.maxBackoffMs);
        expect(second.ids().toSorted()).toEqual(first.ids().toSorted());
        expect(second.deliveries.map(({ deliveryAttempt }) => deliveryAttempt)).toEqual([2, 2]);
      },
      "recovery",
    );

    kept("gives each message to one of its processes", async ({ under, process, until }) => {
      const [one, other] = [recorder(), recorder()];
      process.deliver(one.acknowledge);
      under.join().deliver(other.acknowledge);
      const all = () => [...one.seqs(), ...other.seqs()].toSorted((a, b) => a - b);
      await process.bus.publish(Array.from({ length: 40 }, (_, n) => plain(n)));
      await until("all deliveries", () => all().length >= 40);
      await under.elapse(settledMs);
      expect(all()).toEqual(Array.from({ length: 40 }, (_, n) => n));
    });

    kept(
      "shares the messages among its processes: none has more than it takes at a time",
      async ({ under, process, until }) => {
        const answers = Promise.withResolvers<"ack">();
        const heards = [recorder(), recorder()];
        for (const [index, heard] of heards.entries()) {
          const member = index === 0 ? process : under.join();
          member.deliver(
            (delivery) => {
              void heard.acknowledge(delivery);
              return answers.promise;
            },
            { maxInFlight: 20 },
          );
        }
        const all = () => heards.flatMap((heard) => heard.seqs());
        await process.bus.publish(Array.from({ length: 40 }, (_, n) => plain(n)));
        await until("all in flight", () => all().length >= 40);
        answers.resolve("ack");
        await under.elapse(settledMs);
        expect(all().toSorted((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, n) => n));
        expect(heards.map(({ deliveries }) => deliveries.length)).toEqual([20, 20]);
      },
      "shares",
    );

    kept("hands out no more at a time than the subscriber takes", async ({ process, until }) => {
      let atOnce = 0;
      let most = 0;
      const heard = recorder();
      process.deliver(
        async (delivery) => {
          most = Math.max(most, ++atOnce);
          await new Promise((resolve) => setImmediate(resolve));
          atOnce--;
          return heard.acknowledge(delivery);
        },
        { maxInFlight: 3 },
      );
      await process.bus.publish(Array.from({ length: 10 }, (_, n) => plain(n)));
      await until("all deliveries", () => heard.deliveries.length === 10);
      expect(most).toBe(3);
    });

    if (lacks.order === undefined) {
      describe("with an ordering key", () => {
        kept(
          "delivers in order, one at a time, and holds the rest back while one is refused",
          async ({ process, until }) => {
            const heard = recorder();
            let inFlight = 0;
            let most = 0;
            process.deliver(async (delivery) => {
              most = Math.max(most, ++inFlight);
              await heard.acknowledge(delivery);
              await new Promise((resolve) => setImmediate(resolve));
              inFlight--;
              return seqOf(delivery) === 2 && Number(delivery.deliveryAttempt) < 3 ? "nack" : "ack";
            });
            await process.bus.publish([ordered(1), ordered(2), ordered(3)]);
            await process.bus.publish([ordered(4)]);
            await until("the last", () => heard.seqs().includes(4));
            expect(heard.seqs()).toEqual([1, 2, 2, 2, 3, 4]);
            expect(most).toBe(1);
            expect(heard.deliveries[0]?.message.orderingKey).toBe("ordered/web");
          },
        );

        kept("lets other keys, and messages without one, pass", async ({ under, process, until }) => {
          const heard = recorder();
          process.deliver((delivery) => {
            void heard.acknowledge(delivery);
            return seqOf(delivery) === 1 ? never : Promise.resolve("ack");
          });
          await process.bus.publish([ordered(1), ordered(2), ordered(3, "ordered/other"), plain(4)]);
          await until("the others", () => heard.deliveries.length === 3);
          await under.elapse(timing.ackDeadlineMs / 2);
          expect(heard.seqs().toSorted()).toEqual([1, 3, 4]);
        });

        kept("goes on behind a message that became a dead letter", async ({ under, process }) => {
          const heard = recorder();
          process.deliver((delivery) => {
            void heard.acknowledge(delivery);
            return Promise.resolve(seqOf(delivery) === 1 ? "nack" : "ack");
          });
          await process.bus.publish([ordered(1), ordered(2)]);
          await under.elapse(exhaustedMs);
          expect(heard.seqs()).toEqual([1, 1, 1, 1, 1, 2]);
          expect(await process.deadLetters()).toMatchObject([{ orderingKey: "ordered/web" }]);
        });
      });
    }

    describe("dead letters", () => {
      kept(
        "are messages refused too often: new id, same data, where from and how often",
        async ({ under, process }) => {
          const heard = recorder();
          process.deliver((delivery) => {
            void heard.acknowledge(delivery);
            return Promise.resolve("nack");
          });
          await process.bus.publish([plain(1)]);
          await under.elapse(exhaustedMs);
          expect(heard.deliveries).toHaveLength(timing.maxAttempts);
          const [delivery] = heard.deliveries;
          const [, project, , subscription] = delivery?.subscription.split("/") ?? [];
          const letters = await process.deadLetters();
          expect(letters).toEqual([
            {
              messageId: expect.stringMatching(/./),
              data: JSON.stringify(plain(1)),
              attributes: {
                CloudPubSubDeadLetterSourceDeliveryCount: String(timing.maxAttempts),
                CloudPubSubDeadLetterSourceSubscription: subscription,
                CloudPubSubDeadLetterSourceSubscriptionProject: project,
                CloudPubSubDeadLetterSourceTopicPublishTime: delivery?.message.publishTime,
              },
              sinceMs: expect.any(Number),
            },
          ]);
          expect(heard.ids()).not.toContain(letters[0]?.messageId);
        },
      );

      kept("are messages that no process ever answered", async ({ under, process }) => {
        const heard = recorder();
        process.deliver((delivery) => {
          void heard.acknowledge(delivery);
          return never;
        });
        await process.bus.publish([plain(1)]);
        await under.elapse(exhaustedMs);
        expect(heard.deliveries).toHaveLength(timing.maxAttempts);
        expect(await process.deadLetters()).toHaveLength(1);
      });

      kept("do not stop other messages on their way there", async ({ process, until }) => {
        const heard = recorder();
        process.deliver(
          (delivery) => {
            void heard.acknowledge(delivery);
            return Promise.resolve(seqOf(delivery) === 0 ? "nack" : "ack");
          },
          { maxInFlight: 1 },
        );
        await process.bus.publish([plain(0), plain(1), plain(2)]);
        await until("the others", () => [1, 2].every((seq) => heard.seqs().includes(seq)));
        expect(
          heard
            .seqs()
            .filter((seq) => seq !== 0)
            .toSorted(),
        ).toEqual([1, 2]);
      });

      kept("can be put there directly, with the reason", async ({ under, process }) => {
        await process.bus.deadLetter("{ not json ünï", { source: "harbor" }, "no JSON");
        await process.bus.deadLetter("", {}, "empty");
        const letters = await under.join().deadLetters();
        expect(letters).toMatchObject([
          { data: "", attributes: {}, reason: "empty" },
          { data: "{ not json ünï", attributes: { source: "harbor" }, reason: "no JSON" },
        ]);
        expect(new Set(letters.map(({ messageId }) => messageId)).size).toBe(2);
      });
    });

    describe("a subscriber that stops", () => {
      kept("waits for what is in flight, and takes nothing new", async ({ under, process, until }) => {
        const heard = recorder();
        const answer = Promise.withResolvers<"ack">();
        const delivering = process.deliver(
          (delivery) => {
            void heard.acknowledge(delivery);
            return answer.promise;
          },
          { maxInFlight: 1 },
        );
        await process.bus.publish([plain(1), plain(2)]);
        await until("one in flight", () => heard.deliveries.length === 1);
        let stopped = false;
        const stopping = delivering.stop().then(() => {
          stopped = true;
        });
        await under.elapse(timing.ackDeadlineMs / 2);
        expect(stopped).toBe(false);
        answer.resolve("ack");
        await stopping;
        await under.elapse(settledMs);
        expect(heard.seqs()).toEqual([1]);

        const later = recorder();
        process.deliver(later.acknowledge);
        await until("the rest", () => later.deliveries.length === 1);
        expect(later.seqs()).toEqual([2]);
      });

      kept("does not wait for a handler that hangs longer than the deadline", async ({ under, process }) => {
        const delivering = process.deliver(() => never);
        await process.bus.publish([plain(1)]);
        await under.elapse(timing.ackDeadlineMs / 2);
        const stopped = delivering.stop();
        await under.elapse(timing.ackDeadlineMs);
        await expect(stopped).resolves.toBeUndefined();
      });
    });

    kept("is idle when all that was published is answered", async ({ process }) => {
      const heard = recorder();
      const delivering = process.deliver(heard.acknowledge);
      await process.bus.publish(Array.from({ length: 30 }, (_, n) => plain(n)));
      await delivering.idle();
      expect(heard.deliveries).toHaveLength(30);
    });
  });
}

async function until(under: BusUnderTest, what: string, met: () => boolean): Promise<void> {
  for (let turn = 0; turn < 200; turn++) {
    if (met()) return;
    await under.elapse(50);
  }
  throw new Error(`${what}: not after 10 s`);
}

const never = new Promise<never>(() => {});

function recorder() {
  const deliveries: PubsubDelivery[] = [];
  return {
    deliveries,
    acknowledge: async (delivery: PubsubDelivery) => {
      deliveries.push(delivery);
      return "ack" as const;
    },
    seqs: () => deliveries.map(seqOf),
    ids: () => deliveries.map(({ message }) => message.messageId),
  };
}

function seqOf({ message }: PubsubDelivery): number {
  return Number(JSON.parse(Buffer.from(message.data, "base64").toString()).seq);
}

function plain(seq: number, workload: WorkloadId = "swarm/web"): Message {
  return { kind: "continue", workload, seq };
}

function ordered(seq: number, workload: WorkloadId = "ordered/web"): Message {
  return { kind: "continue", workload, seq };
}
