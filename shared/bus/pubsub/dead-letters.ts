import * as z from "zod/mini";
import type { DeadLetter } from "../subscriber.ts";
import type { Rest } from "./rest.ts";

/** Says on a message of the dead-letter topic why it was set aside. Those of Pub/Sub itself have none. */
const reasonAttribute = "LandfallDeadLetterReason";

/** https://cloud.google.com/pubsub/quotas#resource_limits */
const limits = { attributes: 100, valueBytes: 1_024 };

/** The topic and the subscription that keep what cannot be used have the topic's name with this behind it. */
export const deadLetterSuffix = "-dead-letter";

/** The message's own attributes and the reason, as far as Pub/Sub takes them: a refused one would come back for ever. */
export function withReason(
  attributes: Readonly<Record<string, string>>,
  reason: string,
): Readonly<Record<string, string>> {
  const own = Object.entries(attributes).slice(0, limits.attributes - 1);
  return { ...Object.fromEntries(own), [reasonAttribute]: cut(reason, limits.valueBytes) };
}

const Pulled = z.object({
  receivedMessages: z.optional(
    z.array(
      z.object({
        ackId: z.string(),
        message: z.object({
          data: z.optional(z.string()),
          attributes: z.optional(z.record(z.string(), z.string())),
          messageId: z.string(),
          publishTime: z.string(),
          orderingKey: z.optional(z.string()),
        }),
      }),
    ),
  ),
});
type Received = NonNullable<z.infer<typeof Pulled>["receivedMessages"]>[number];

/**
 * Looks at what a subscription holds and gives all of it back.
 * @param subscription `projects/P/subscriptions/S`
 */
export async function peek(rest: Rest, subscription: string, limit: number): Promise<readonly DeadLetter[]> {
  const role = `roles/pubsub.subscriber on ${subscription}`;
  const received = new Map<string, Received>();
  while (received.size < limit) {
    const body = { maxMessages: limit - received.size, returnImmediately: true };
    const answer = await rest({ method: "POST", path: `${subscription}:pull`, body, role });
    const before = received.size;
    for (const each of Pulled.parse(answer).receivedMessages ?? [])
      received.set(each.message.messageId, each);
    if (received.size === before) break;
  }
  if (received.size === 0) return [];
  await rest({
    method: "POST",
    path: `${subscription}:modifyAckDeadline`,
    body: { ackIds: [...received.values()].map(({ ackId }) => ackId), ackDeadlineSeconds: 0 },
    role,
  });
  return [...received.values()].map(letterOf).toSorted((a, b) => b.sinceMs - a.sinceMs);
}

function letterOf({ message }: Received): DeadLetter {
  const { [reasonAttribute]: reason, ...attributes } = message.attributes ?? {};
  return {
    messageId: message.messageId,
    data: Buffer.from(message.data ?? "", "base64").toString("utf8"),
    attributes,
    ...(message.orderingKey === undefined || message.orderingKey === ""
      ? {}
      : { orderingKey: message.orderingKey }),
    ...(reason === undefined ? {} : { reason }),
    sinceMs: Date.parse(message.publishTime),
  };
}

/** At most so many bytes of UTF-8, no character in two. */
function cut(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  return new TextDecoder().decode(bytes.subarray(0, maxBytes), { stream: true });
}
