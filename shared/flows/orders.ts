import type { OrderMessage } from "../bus/bus.ts";
import type { Order } from "../domain/order.ts";
import type { Repository } from "../domain/reference.ts";
import type { WorkloadId } from "../domain/workload.ts";
import { LedgerUnavailableError } from "../errors.ts";
import type { Check, EventDocument, Verdict, Write } from "../ledger/ledger.ts";
import { advance } from "./advance.ts";
import { advanceImage } from "./advance-image.ts";
import type { Budget, FlowDeps } from "./deps.ts";
import { eventKeptMs } from "./event.ts";
import { acceptBuild } from "./order-accept.ts";
import { hold, pause, release, resume } from "./order-marks.ts";
import { bringBack, bringTo } from "./order-rollout.ts";
import { inTurn } from "./order-turn.ts";
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
      /** What it depends on beside that. */
      readonly checks?: readonly Check[];
      /** The rollout that it began. */
      readonly ticket?: Ticket;
      /** The rollout under way that leads there already. */
      readonly joined?: Joined;
      /** Images whose head or channels it moves, or whose workloads it frees. */
      readonly images?: readonly Repository[];
      /** The workload may be behind now, and its record says that it is to be looked at. */
      readonly relook?: WorkloadId;
    }
  /** It is so without the order, for example because it was given twice. */
  | {
      readonly kind: "already";
      readonly detail: string;
      readonly joined?: Joined;
      /** What remembers that it was ordered all the same. */
      readonly writes?: readonly Write[];
    }
  | { readonly kind: "refused"; readonly detail: string }
  /** A target or registry could not be asked: a person is told, and may ask again. */
  | { readonly kind: "unavailable"; readonly detail: string };

type Joined = Required<Pick<Verdict, "workload" | "seq">>;

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
    const ordered = await inTurn(deps, message, await carryOut(deps, message, message.order));
    const value = eventOf(message, ordered);
    const event = { collection: "events", id: message.event, expect: known?.rev ?? 0, value } as const;
    const writes: [Write, ...Write[]] = [event, ...(isTaken(ordered) ? (ordered.writes ?? []) : [])];
    const checks = ordered.kind === "ordered" ? ordered.checks : undefined;
    if ((await record(deps, "order.record", writes, checks)) === "conflict") continue;
    deps.log.write(isTaken(ordered) ? "notice" : "warning", `${message.by}: ${ordered.detail}`, {
      event: message.event,
      outcome: ordered.kind,
    });
    if (ordered.kind !== "ordered") return;
    const { ticket, images = [] } = ordered;
    if (ticket !== undefined) await advance(deps, ticket.document.value.workload, ticket.open.seq, budget);
    for (const repository of images) await advanceImage(deps, repository, budget);
    if (ordered.relook !== undefined) await relook(deps, ordered.relook, budget);
    return;
  }
  throw new LedgerUnavailableError(`order ${message.event} is overtaken all the time`);
}

function isTaken(ordered: Ordered): ordered is Extract<Ordered, { kind: "ordered" | "already" }> {
  return ordered.kind === "ordered" || ordered.kind === "already";
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
      return pause(deps, message, order);
    case "resume":
      return resume(deps, order);
    case "accept":
      return acceptBuild(deps, message, order);
    default:
      return order satisfies never;
  }
}

function eventOf(message: OrderMessage, ordered: Ordered): EventDocument {
  return {
    state: "done",
    order: message.order,
    by: message.by,
    heardMs: message.heardMs,
    outcome: ordered.kind,
    detail: ordered.detail,
    verdicts: verdictsOf(ordered),
    more: 0,
    looks: 0,
    expireMs: message.heardMs + eventKeptMs,
  };
}

function verdictsOf(ordered: Ordered): readonly Verdict[] {
  if (!isTaken(ordered)) return [];
  if (ordered.joined !== undefined) return [{ kind: "joined", ...ordered.joined }];
  const ticket = ordered.kind === "ordered" ? ordered.ticket : undefined;
  if (ticket === undefined) return [];
  return [{ workload: ticket.document.value.workload, kind: "planned", seq: ticket.open.seq }];
}
