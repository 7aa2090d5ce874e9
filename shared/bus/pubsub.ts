import * as z from "zod/mini";
import type { Clock } from "../clock.ts";
import { BusUnavailableError } from "../errors.ts";
import type { Bus, Message } from "./bus.ts";
import { fullName, type PubsubName } from "./config.ts";
import { type Caller, nodeCaller } from "./pubsub/call.ts";
import { deadLetterSuffix, withReason } from "./pubsub/dead-letters.ts";
import { emulatorIdentity, type Identity, metadataIdentity } from "./pubsub/identity.ts";
import { pubsubRest, type Rest, type RestOptions } from "./pubsub/rest.ts";

export interface PubsubOptions extends Pick<RestOptions, "attemptMs" | "totalMs"> {
  readonly clock: Clock;
  /** The project of names without one; undefined: asked of the metadata server. */
  readonly project: string | undefined;
  /** Host and port of an emulator; undefined: Pub/Sub itself. */
  readonly emulatorHost: string | undefined;
  /** Host, and perhaps port, of the metadata server; undefined: Google's own. */
  readonly metadataHost: string | undefined;
  /** Default `https://pubsub.googleapis.com`. */
  readonly origin?: string;
  /** In [0, 1): spreads retries. */
  readonly random: () => number;
  /** Whom to call Pub/Sub as; default the instance's own account, or nobody at an emulator. */
  readonly identity?: Identity;
}

/** https://cloud.google.com/pubsub/quotas: a call takes 1,000 messages and 10 MB; ours are counted as sent, in base64. */
const perCall = { messages: 1_000, bytes: 9_000_000 };

const Published = z.object({ messageIds: z.array(z.string()) });

/**
 * Publishes to a Pub/Sub topic without Google's client, which would triple the time to a function's first answer. A
 * batch is one call and so one transaction; one that a single call does not hold is durable in part when publishing
 * fails, which its next try repeats.
 */
export function pubsubBus(options: PubsubOptions & { readonly topic: PubsubName }): Bus {
  const caller = nodeCaller();
  const identity = identityOf(options, caller);
  const rest = restOf(options, identity, caller);
  return {
    ...publishing(rest, async () =>
      fullName(options.topic, "topics", options.topic.project ?? (await identity.project(projectMs))),
    ),
    close: async () => caller.close(),
  };
}

const projectMs = 3_000;

export function identityOf(options: PubsubOptions, caller: Caller): Identity {
  const { clock, project, emulatorHost, metadataHost: host } = options;
  if (emulatorHost !== undefined) return emulatorIdentity(project);
  return options.identity ?? metadataIdentity({ caller, clock, project, host });
}

export function restOf(options: PubsubOptions, identity: Identity, caller: Caller): Rest {
  const { emulatorHost, origin = "https://pubsub.googleapis.com" } = options;
  return pubsubRest({
    ...options,
    origin: emulatorHost === undefined ? origin : `http://${emulatorHost}`,
    identity,
    caller,
  });
}

/** @param topicOf `projects/P/topics/T`; @throws BusUnavailableError */
export function publishing(rest: Rest, topicOf: () => Promise<string>): Omit<Bus, "close"> {
  async function send(topic: string, messages: readonly object[]): Promise<readonly string[]> {
    const role = `roles/pubsub.publisher on ${topic}`;
    const path = `${topic}:publish`;
    const published = Published.safeParse(await rest({ method: "POST", path, body: { messages }, role }));
    if (!published.success || published.data.messageIds.length !== messages.length) {
      throw new BusUnavailableError("Pub/Sub did not name an id for each message");
    }
    return published.data.messageIds;
  }

  return {
    publish: async (messages) => {
      if (messages.length === 0) return;
      const topic = await topicOf();
      for (const batch of batches(messages)) await send(topic, batch);
    },
    publishText: async (data) => (await send(await topicOf(), [{ data: base64(data) }])).join(),
    deadLetter: async (data, attributes, reason) => {
      const message = { data: base64(data), attributes: withReason(attributes, reason) };
      await send(`${await topicOf()}${deadLetterSuffix}`, [message]);
    },
  };
}

/** As few calls as hold all; a message that is too large alone is a call of its own, for Pub/Sub to refuse. */
function* batches(messages: readonly Message[]): Iterable<readonly object[]> {
  let batch: { readonly data: string }[] = [];
  let bytes = 0;
  for (const message of messages) {
    const data = base64(JSON.stringify(message));
    if (batch.length > 0 && (batch.length === perCall.messages || bytes + data.length > perCall.bytes)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push({ data });
    bytes += data.length;
  }
  if (batch.length > 0) yield batch;
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
