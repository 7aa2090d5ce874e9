import type { Bus } from "../../shared/bus/bus.ts";
import type { BusSetting } from "../../shared/bus/config.ts";
import type { Clock } from "../../shared/clock.ts";
import type { Settings } from "../../shared/config/load.ts";
import { storePath } from "./context.ts";

/** What a person's command or a job of CI publishes by. */
export interface Outbox {
  readonly bus: Bus;
  /** The address of the Google account that publishes; `undefined` where it has none or nobody is asked. */
  readonly account: () => Promise<string | undefined>;
}

/** The buses that a command publishes to. */
export type OutboxSetting = Extract<BusSetting, { kind: "inline" | "pubsub" }>;

/** Nobody waits for a webhook's answer here: a job rather takes longer than fails. */
const totalMs = 30_000;
const tokenMs = 10_000;

/**
 * Opens the bus as whoever the machine's credentials are of.
 * @throws BusUnavailableError when there are none that work
 */
export async function openOutbox(
  where: OutboxSetting,
  { ledger, pubsub }: Pick<Settings, "ledger" | "pubsub">,
  clock: Clock,
): Promise<Outbox> {
  switch (where.kind) {
    case "inline": {
      const { inlineBus } = await import("../../shared/bus/inline.ts");
      return { bus: inlineBus({ store: storePath(ledger), clock }), account: async () => undefined };
    }
    case "pubsub": {
      const { pubsubBus } = await import("../../shared/bus/pubsub.ts");
      const options = { ...pubsub, topic: where.topic, clock, random: Math.random, totalMs };
      if (pubsub.emulatorHost !== undefined) {
        return { bus: pubsubBus(options), account: async () => undefined };
      }
      const { machineIdentity } = await import("../../shared/bus/pubsub/default-identity.ts");
      const identity = machineIdentity(where.topic.project ?? pubsub.project);
      // Told now, and not after half a minute of tries.
      await identity.token(tokenMs);
      return { bus: pubsubBus({ ...options, identity }), account: () => identity.email() };
    }
    default:
      return where satisfies never;
  }
}
