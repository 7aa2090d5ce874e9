import type { Bus } from "../../shared/bus/bus.ts";
import { ConfigError } from "../../shared/errors.ts";
import { storePath, type WiringContext } from "./context.ts";
import { once } from "./once.ts";

/** The bus for a process that only publishes: what pulls from one is not needed, and so not in its bundle. */
export function wirePublish({ settings, clock, log }: WiringContext): () => Promise<Bus> {
  return once(async () => {
    const { bus, ledger, pubsub } = settings;
    switch (bus.kind) {
      case "inline": {
        const { inlineBus } = await import("../../shared/bus/inline.ts");
        return inlineBus({ store: storePath(ledger), clock, log });
      }
      case "pubsub": {
        const { pubsubBus } = await import("../../shared/bus/pubsub.ts");
        return pubsubBus({ ...bus, ...pubsub, clock, random: Math.random });
      }
      case "pubsub-pull":
        throw new ConfigError([
          "LANDFALL_BUS: this function only publishes, and pulls nothing; write `pubsub:TOPIC`",
        ]);
      default:
        return bus satisfies never;
    }
  });
}
