import type { OrderMessage } from "../bus/bus.ts";
import type { EventDocument } from "../ledger/ledger.ts";
import { handleBuild } from "./build.ts";
import type { Budget, FlowDeps } from "./deps.ts";
import { eventKeptMs } from "./event.ts";
import { hear } from "./hear.ts";
import { record } from "./record.ts";

/** Takes an event as if it had just been heard: under a new id, which the order's own event names. */
export async function replay(
  deps: FlowDeps,
  message: OrderMessage,
  of: string,
  budget: Budget,
): Promise<void> {
  const known = await deps.ledger.get("events", message.event);
  const again = `${message.event}.again`;
  const original = (await deps.ledger.get("events", of))?.value;
  const isKnown = original?.push !== undefined || original?.build !== undefined;
  if (known === undefined) {
    const value: EventDocument = {
      state: "done",
      order: message.order,
      by: message.by,
      heardMs: message.heardMs,
      outcome: isKnown ? "ordered" : "refused",
      detail: isKnown ? `taken again as ${again}` : `there is no push and no build ${of}`,
      verdicts: [],
      more: 0,
      looks: 0,
      expireMs: message.heardMs + eventKeptMs,
    };
    const write = { collection: "events", id: message.event, expect: 0, value } as const;
    await record(deps, "order.record", [write]);
  }
  const stored = await deps.ledger.get("events", again);
  if (stored?.value.state === "done") return;
  const { heardMs } = message;
  if (original?.build !== undefined) {
    return handleBuild(deps, { event: again, heardMs, build: original.build }, budget, stored);
  }
  if (original?.push !== undefined) {
    return hear(deps, { kind: "push", event: again, heardMs, push: original.push }, budget, stored);
  }
}
