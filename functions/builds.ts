import type { CloudEvent, CloudEventFunction } from "@google-cloud/functions-framework";
import * as z from "zod/mini";
import { newBudget } from "../shared/flows/deps.ts";
import { type Delivery, take } from "../shared/flows/take.ts";
import { redelivered } from "./boundary.ts";
import type { Wiring } from "./wiring.ts";

/** https://cloud.google.com/eventarc/docs/cloudevents: `MessagePublishedData`, and the raw push body alike. */
const Published = z.object({
  message: z.object({
    data: z.optional(z.string()),
    attributes: z.optional(z.record(z.string(), z.string())),
    messageId: z.optional(z.string()),
  }),
  deliveryAttempt: z.optional(z.number()),
});

/** A message on Landfall's topic: a push, or a rollout to go on with. Returning acknowledges it. */
export function createBuilds(wiring: () => Wiring): CloudEventFunction<unknown> {
  return (event: CloudEvent<unknown>) =>
    redelivered(wiring().log, async () => {
      const deps = await wiring().flows();
      await take(deps, parse(event), newBudget(deps.clock, wiring().stopping));
    });
}

function parse(event: CloudEvent<unknown>): Delivery {
  const published = Published.safeParse(event.data);
  const message = published.success ? published.data.message : undefined;
  return {
    messageId: message?.messageId ?? event.id ?? "unknown",
    data: message?.data ?? "",
    attributes: message?.attributes ?? {},
    redelivered: (published.success ? (published.data.deliveryAttempt ?? 2) : 2) > 1,
  };
}
