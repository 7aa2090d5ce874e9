import { type Clock, systemClock } from "../../shared/clock.ts";
import { environment, type LoadedConfig, type Settings } from "../../shared/config/load.ts";
import { type WatchedConfig, watchedConfig } from "../../shared/config/watch.ts";
import { ConfigError } from "../../shared/errors.ts";
import { jsonLog, type Log } from "../../shared/log.ts";

/** Where the inline bus keeps its messages when the ledger is not in a file. */
const inlineFile = ".landfall/bus.db";

/** What every wiring starts from. */
export interface WiringContext {
  readonly settings: Pick<Settings, "ledger" | "bus" | "pubsub">;
  /** Asked for at each use: another object means that the configuration has changed. */
  readonly config: (() => Promise<LoadedConfig>) & Partial<Pick<WatchedConfig, "look" | "refused">>;
  readonly log: Log;
  readonly clock: Clock;
  /** Aborted when the process is about to stop. */
  readonly stopping?: AbortSignal;
}

/**
 * A deployed function's, from the environment.
 * @throws ConfigError when the environment cannot be used
 */
export function deployedContext(stopping: AbortSignal): WiringContext {
  const settings = environment();
  if (settings.config === undefined) {
    throw new ConfigError([
      "LANDFALL_CONFIG: is not set; name the configuration file, e.g. /etc/landfall.yaml",
    ]);
  }
  const log = jsonLog();
  const config = watchedConfig({ path: settings.config, clock: systemClock, log });
  return { settings, config, log, clock: systemClock, stopping };
}

/** What the embedded ledger and the inline bus open: one file for both, where the ledger is in a file. */
export function storePath(ledger: Settings["ledger"]): string {
  switch (ledger.kind) {
    case "memory":
      return ":memory:";
    case "file":
      return ledger.path;
    case "firestore":
      return inlineFile;
    default:
      return ledger satisfies never;
  }
}
