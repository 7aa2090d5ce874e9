import { existsSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import { type BusSetting, busForms, commandsTopic, parseBus } from "../../shared/bus/config.ts";
import { environment, type Settings } from "../../shared/config/load.ts";
import { BusUnavailableError, ConfigError } from "../../shared/errors.ts";
import { storePath } from "../wiring/context.ts";
import { type Outbox, type OutboxSetting, openOutbox } from "../wiring/outbox.ts";
import type { Answer, Call, CliContext, Command } from "./command.ts";

/** What CI built goes where pushes go; what people order goes to a topic of its own, so that rights differ. */
type Kind = "builds" | "commands";

/** The options of a command that publishes. */
export const publishingOptions: Command["options"] = {
  topic: {
    type: "string",
    value: "TOPIC",
    about: "Publish to this Pub/Sub topic: projects/P/topics/T, or T in the project of the environment.",
  },
  bus: {
    type: "string",
    value: "BUS",
    about: "Publish to this bus, written as LANDFALL_BUS is, which it replaces.",
  },
  "dry-run": { type: "boolean", about: "Check everything, show the message, publish nothing." },
  wait: { type: "boolean", about: "Follow it in the ledger until all that it led to has ended." },
  timeout: { type: "string", value: "TIME", about: "How long --wait waits, e.g. 90s; 20m when not given." },
};

/** Opened and closed by whoever publishes. */
export interface Publishing {
  /** Where messages would go, for a person. */
  readonly place: string;
  /** @throws BusUnavailableError, with the place in its message, when nothing can be published there */
  publishing<T>(act: (outbox: Outbox) => Promise<T>): Promise<T>;
}

/**
 * Where a command publishes: `--topic`, `--bus`, else `LANDFALL_BUS`. Nothing is opened yet.
 * @returns an `Answer` when the command line is at fault
 * @throws ConfigError when the environment is, or when nothing says where
 */
export function publishingOf(call: Call, { env, clock }: CliContext, kind: Kind): Publishing | Answer {
  const settings = environment(env);
  const where = busOf(call, settings.bus, kind);
  if ("text" in where) return where;
  if (where.kind === "inline") expectStore(settings);
  const place = placeOf(where, settings);
  return {
    place,
    publishing: async (act) => {
      const failed = (error: unknown) =>
        error instanceof BusUnavailableError
          ? new BusUnavailableError(`nothing was published to ${place}: ${error.message}`, { cause: error })
          : error;
      const outbox = await openOutbox(where, settings, clock).catch((error: unknown) => {
        throw failed(error);
      });
      try {
        return await act(outbox);
      } catch (error) {
        throw failed(error);
      } finally {
        await outbox.bus.close();
      }
    },
  };
}

/** Who acts: the Google account where one is known, else the user of this machine. */
export async function actor(outbox: Pick<Outbox, "account">): Promise<string> {
  return (await outbox.account()) ?? `${userName()}@${hostname()}`;
}

function busOf(call: Call, set: BusSetting, kind: Kind): OutboxSetting | (Answer & { text: string }) {
  const { topic, bus } = call.options;
  if (typeof topic === "string") {
    if (bus !== undefined) return usage("Give --topic or --bus, not both.");
    const read = parseBus(`pubsub:${topic}`);
    if (read?.kind === "pubsub") return read;
    return usage("--topic needs a topic's id, or its whole name, e.g. --topic projects/acme/topics/landfall");
  }
  const read = typeof bus === "string" ? parseBus(bus) : set;
  if (read === undefined) return usage(`--bus needs ${busForms}.`);
  switch (read.kind) {
    case "inline":
      return read;
    case "pubsub":
      return kind === "commands" ? { kind: "pubsub", topic: commandsTopic(read.topic) } : read;
    case "pubsub-pull":
      // Whoever pulls has this one subscription: orders have to come by it too.
      if (read.topic !== undefined) return { kind: "pubsub", topic: read.topic };
      throw new ConfigError([
        "LANDFALL_BUS is `pubsub-pull:`, which names a subscription; say with --topic where to publish",
      ]);
    default:
      return read satisfies never;
  }
}

/** A bus that nobody takes messages from is not made. */
function expectStore({ ledger }: Settings): void {
  const path = storePath(ledger);
  if (ledger.kind !== "memory" && existsSync(path)) return;
  const found =
    ledger.kind === "memory"
      ? "LANDFALL_LEDGER is `memory:`, which no other process sees"
      : `there is no ledger at ${path}`;
  throw new ConfigError([
    "Nothing says where to publish: give --topic projects/P/topics/T, or set LANDFALL_BUS=pubsub:TOPIC. " +
      `Without either, messages go into the ledger of a Landfall on this machine, and ${found}.`,
  ]);
}

function placeOf(where: OutboxSetting, { ledger, pubsub }: Settings): string {
  if (where.kind === "inline") return storePath(ledger);
  const { project = pubsub.project, id } = where.topic;
  const topic = project === undefined ? `topic ${id}` : `projects/${project}/topics/${id}`;
  return pubsub.emulatorHost === undefined ? topic : `${topic} of the emulator at ${pubsub.emulatorHost}`;
}

function usage(text: string): Answer & { text: string } {
  return { kind: "usage", text };
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A container may run as a user that no file names.
    return "unknown";
  }
}
