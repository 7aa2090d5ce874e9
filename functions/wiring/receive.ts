import { randomUUID } from "node:crypto";
import type { Bus } from "../../shared/bus/bus.ts";
import { matcher } from "../../shared/domain/repository-glob.ts";
import type { ReceiveDeps } from "../../shared/flows/receive.ts";
import { sources } from "../../shared/sources/index.ts";
import type { WiringContext } from "./context.ts";
import { perConfig } from "./once.ts";

/** What deliveries are received with, made from the configuration. */
export function wireReceive(
  { config, clock, log }: Pick<WiringContext, "config" | "clock" | "log">,
  bus: () => Promise<Pick<Bus, "publish">>,
): () => Promise<ReceiveDeps> {
  return perConfig(config, async (loaded) => ({
    webhooks: loaded.config.webhooks.map((entry) => ({
      source: sources[entry.source],
      secrets: entry.secrets.map(loaded.secret),
      ...(entry.repositories === undefined ? {} : { repositories: matcher(entry.repositories) }),
      ...(entry.hostAliases === undefined ? {} : { hostAliases: entry.hostAliases }),
    })),
    bus: await bus(),
    newId: randomUUID,
    clock,
    log,
  }));
}
