import type { OrderMessage } from "../bus/bus.ts";
import type { Order } from "../domain/order.ts";
import type { WorkloadId } from "../domain/workload.ts";
import { LedgerUnavailableError } from "../errors.ts";
import type { EventDocument, Hold, Stored, WorkloadDocument, Write } from "../ledger/ledger.ts";
import { advance } from "./advance.ts";
import type { Budget, FlowDeps } from "./deps.ts";
import { eventKeptMs } from "./event.ts";
import { loadImage } from "./image.ts";
import { bringBack, bringTo } from "./order-rollout.ts";
import type { Ticket } from "./plan-writes.ts";
import { record } from "./record.ts";
import { relook } from "./relook.ts";
import { replay } from "./replay.ts";

const maxRaces = 20;

/** What an order comes to: the writes that carry it out, or why it cannot be. */
export type Ordered =
  | {
      readonly kind: "ordered";
      readonly detail: string;
      readonly writes: readonly Write[];
      /** The rollout that it began. */
      readonly ticket?: Ticket;
      /** The workload may be behind now: look once more at what it follows. */
      readonly relook?: WorkloadId;
    }
  | { readonly kind: "refused"; readonly detail: string }
  /** A target or registry could not be asked: a person is told, and may ask again. */
  | { readonly kind: "unavailable"; readonly detail: string };

/**
 * A person asks for something: it is on record together with its event, or refused with the reason. Safe to repeat at
 * any point.
 * @throws LedgerUnavailableError (retryable)
 */
export async function handleOrder(deps: FlowDeps, message: OrderMessage, budget: Budget): Promise<void> {
  if (message.order.do === "replay") return replay(deps, message, message.order.of, budget);
  for (let race = 0; race < maxRaces; race++) {
    const known = await deps.ledger.get("events", message.event);
    if (known?.value.state === "done") return;
    const ordered = await carryOut(deps, message, message.order);
    const value = eventOf(message, ordered);
    const event = { collection: "events", id: message.event, expect: known?.rev ?? 0, value } as const;
    const writes: [Write, ...Write[]] = [event, ...(ordered.kind === "ordered" ? ordered.writes : [])];
    if ((await record(deps, "order.record", writes)) === "conflict") continue;
    deps.log.write(ordered.kind === "ordered" ? "notice" : "warning", `${message.by}: ${ordered.detail}`, {
      event: message.event,
      outcome: ordered.kind,
    });
    if (ordered.kind !== "ordered") return;
    const { ticket } = ordered;
    if (ticket !== undefined) await advance(deps, ticket.document.value.workload, ticket.open.seq, budget);
    if (ordered.relook !== undefined) await relook(deps, ordered.relook, budget);
    return;
  }
  throw new LedgerUnavailableError(`order ${message.event} is overtaken all the time`);
}

async function carryOut(
  deps: FlowDeps,
  message: OrderMessage,
  order: Exclude<Order, { do: "replay" }>,
): Promise<Ordered> {
  switch (order.do) {
    case "deploy":
      return bringTo(deps, message, order);
    case "rollback":
      return bringBack(deps, message, order);
    case "hold":
      return hold(deps, message, order);
    case "release":
      return release(deps, order);
    case "pause":
      return changed(deps, order.workload, async (document) => {
        const sinceMs = await deps.ledger.clock();
        const { untilMs, reason } = order;
        const until = untilMs === undefined ? {} : { untilMs };
        const pause = { by: message.by, sinceMs, ...until, ...(reason === undefined ? {} : { reason }) };
        const { dueMs: _, ...rest } = document;
        const value = { ...rest, pause, ...(untilMs === undefined ? {} : { dueMs: untilMs }) };
        return { kind: "changed", value, detail: `${order.workload} is paused` };
      });
    case "resume":
      return changed(deps, order.workload, async ({ pause, dueMs: _, ...rest }) =>
        pause === undefined
          ? { kind: "refused", detail: `${order.workload} is not paused` }
          : { kind: "changed", value: rest, detail: `${order.workload} goes on`, relook: order.workload },
      );
    default:
      return order satisfies never;
  }
}

async function hold(
  deps: FlowDeps,
  message: OrderMessage,
  { image, digest, workload, reason = "held" }: Order & { do: "hold" },
): Promise<Ordered> {
  const held: Hold = { digest, reason, sinceMs: await deps.ledger.clock(), by: message.by };
  const others = (holds: readonly Hold[]) => holds.filter((each) => each.digest !== digest);
  if (workload !== undefined) {
    return changed(deps, workload, async (document) => ({
      kind: "changed",
      value: { ...document, holds: [...others(document.holds), held] },
      detail: `${digest} is held for ${workload}`,
    }));
  }
  const before = await loadImage(deps, image);
  const value = { ...before.value, holds: [...others(before.value.holds ?? []), held] };
  return {
    kind: "ordered",
    detail: `${image}@${digest} is held everywhere`,
    writes: [{ collection: "images", id: before.id, expect: before.rev, value }],
  };
}

async function release(
  deps: FlowDeps,
  { workload, image, digest }: Order & { do: "release" },
): Promise<Ordered> {
  if (workload !== undefined) {
    return changed(deps, workload, async ({ pin, holds, ...rest }) => {
      const left = digest === undefined ? [] : holds.filter((each) => each.digest !== digest);
      if (pin === undefined && left.length === holds.length) {
        return { kind: "refused", detail: `nothing is held for ${workload}, and nobody pinned it` };
      }
      const kept = digest === undefined || pin === undefined ? {} : { pin };
      return {
        kind: "changed",
        value: { ...rest, ...kept, holds: left },
        detail: `${workload} is released`,
        relook: workload,
      };
    });
  }
  if (image === undefined || digest === undefined) {
    return { kind: "refused", detail: "name a workload, or an image with its digest" };
  }
  const before = await loadImage(deps, image);
  const holds = before.value.holds ?? [];
  const left = holds.filter((each) => each.digest !== digest);
  if (left.length === holds.length)
    return { kind: "refused", detail: `${image}@${digest} is not held everywhere` };
  const value = { ...before.value, holds: left };
  return {
    kind: "ordered",
    detail: `${image}@${digest} is released`,
    writes: [{ collection: "images", id: before.id, expect: before.rev, value }],
  };
}

type Changed =
  | {
      readonly kind: "changed";
      readonly value: WorkloadDocument;
      readonly detail: string;
      readonly relook?: WorkloadId;
    }
  | { readonly kind: "refused"; readonly detail: string };

/** A change of what is recorded of a workload; one that Landfall has not met yet has no record to change. */
async function changed(
  deps: FlowDeps,
  workload: WorkloadId,
  change: (document: WorkloadDocument) => Promise<Changed>,
): Promise<Ordered> {
  const stored = await documentOf(deps, workload);
  if (stored === undefined)
    return { kind: "refused", detail: `no target of the configuration has ${workload}` };
  const made = await change(stored.value);
  if (made.kind === "refused") return made;
  const { value, detail, relook: again } = made;
  return {
    kind: "ordered",
    detail,
    writes: [{ collection: "workloads", id: stored.id, expect: stored.rev, value }],
    ...(again === undefined ? {} : { relook: again }),
  };
}

async function documentOf(deps: FlowDeps, workload: WorkloadId): Promise<Stored<"workloads"> | undefined> {
  const stored = await deps.ledger.get("workloads", workload);
  if (stored !== undefined) return stored;
  const slash = workload.indexOf("/");
  const [target, name] = [workload.slice(0, slash), workload.slice(slash + 1)];
  if (!deps.targets.some((each) => each.target.name === target)) return undefined;
  return {
    id: workload,
    rev: 0,
    writer: "",
    value: { workload, target, name, seq: 0, wanted: {}, holds: [] },
  };
}

function eventOf(message: OrderMessage, ordered: Ordered): EventDocument {
  const ticket = ordered.kind === "ordered" ? ordered.ticket : undefined;
  return {
    state: "done",
    order: message.order,
    by: message.by,
    heardMs: message.heardMs,
    outcome: ordered.kind,
    detail: ordered.detail,
    verdicts:
      ticket === undefined
        ? []
        : [{ workload: ticket.document.value.workload, kind: "planned", seq: ticket.open.seq }],
    more: 0,
    looks: 0,
    expireMs: message.heardMs + eventKeptMs,
  };
}
