import { randomUUID } from "node:crypto";
import * as z from "zod/mini";
import { Order } from "../../shared/domain/order.ts";
import type { Landfall } from "./landfall.ts";

const token = "the-bearer-token-of-an-operator";

/** What a configuration needs so that {@link reconcile} is let in. */
export const callers = { auth: [{ kind: "bearer", token }] };

const Report = z.object({
  rows: z.optional(
    z.array(z.object({ workload: z.string(), verdict: z.string(), reason: z.optional(z.string()) })),
  ),
});
export type Row = NonNullable<z.infer<typeof Report>["rows"]>[number];

/** `POST /reconcile`; the rows of a full run. */
export async function reconcile(
  landfall: Landfall,
  order: { readonly mode: "sweep" | "full"; readonly adopt?: boolean },
): Promise<readonly Row[]> {
  const answer = await fetch(`${landfall.url}/reconcile`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(order),
  });
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(`the ${order.mode} run was answered ${answer.status} ${text}`);
  return Report.parse(JSON.parse(text)).rows ?? [];
}

/** What a person asks for, as the commands topic delivers it; what came of it, in the words of its event. */
export async function ask(landfall: Landfall, order: z.input<typeof Order>): Promise<string> {
  const event = `order-${randomUUID()}`;
  const message = { kind: "order", event, heardMs: Date.now(), by: "e2e", order: Order.parse(order) };
  const data = Buffer.from(JSON.stringify(message)).toString("base64");
  const messageId = randomUUID();
  const answer = await fetch(`${landfall.url}/events`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "ce-specversion": "1.0",
      "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
      "ce-source": "//pubsub.googleapis.com/projects/e2e/topics/landfall-commands",
      "ce-id": messageId,
    },
    body: JSON.stringify({ message: { data, messageId }, subscription: "e2e", deliveryAttempt: 1 }),
  });
  if (!answer.ok) throw new Error(`the order was answered ${answer.status} ${await answer.text()}`);
  const { outcome, detail } = (await landfall.ledger.get("events", event))?.value ?? {};
  return `${outcome}: ${detail}`;
}
