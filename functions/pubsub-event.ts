import { createHash } from "node:crypto";
import * as z from "zod/mini";
import type { Delivery } from "../shared/flows/take.ts";

/** https://cloud.google.com/eventarc/docs/cloudevents: `MessagePublishedData`; a push subscription's body is the same. */
const Published = z.object({
  message: z.object({
    data: z.optional(z.string()),
    attributes: z.optional(z.record(z.string(), z.string())),
    messageId: z.optional(z.string()),
  }),
  deliveryAttempt: z.optional(z.number()),
});
const Context = z.object({ id: z.string() });

/**
 * The message in what the Functions Framework makes of a request. Pub/Sub's own push arrives as a CloudEvent too, but
 * without `deliveryAttempt`; with a message of attributes only the function gets the bare body, which is no CloudEvent at
 * all. What has no such form is taken whole as the data, so that it is set aside with all that it held.
 */
export function deliveryOf(event: unknown): Delivery {
  const context = Context.safeParse(event);
  const content = typeof event === "object" && event !== null && "data" in event ? event.data : event;
  const published = Published.safeParse(content);
  if (!published.success) {
    const text = JSON.stringify(content) ?? "";
    return {
      messageId: context.data?.id ?? `sha256-${createHash("sha256").update(text).digest("hex").slice(0, 32)}`,
      data: Buffer.from(text).toString("base64"),
      attributes: {},
      redelivered: true,
    };
  }
  const { message, deliveryAttempt } = published.data;
  return {
    messageId: message.messageId ?? context.data?.id ?? "unknown",
    data: message.data ?? "",
    attributes: message.attributes ?? {},
    // Who does not say which delivery it is may have delivered before.
    redelivered: deliveryAttempt !== 1,
  };
}
