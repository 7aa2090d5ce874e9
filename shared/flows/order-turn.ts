import type { OrderMessage } from "../bus/bus.ts";
import type { Order } from "../domain/order.ts";
import type { WorkloadId } from "../domain/workload.ts";
import type { WorkloadDocument, Write } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";
import type { Ordered } from "./orders.ts";

interface About {
  readonly subject: keyof NonNullable<WorkloadDocument["orders"]>;
  readonly workload: WorkloadId;
}

/**
 * Messages overtake each other: what somebody ordered before another order of theirs about the same, which is carried out
 * already, is not what they want. Clocks of different people are not compared: between them what is carried out last holds.
 */
export async function inTurn(deps: FlowDeps, message: OrderMessage, ordered: Ordered): Promise<Ordered> {
  const about = subjectOf(message.order);
  if (about === undefined) return ordered;
  if (ordered.kind === "already") {
    const stored = await deps.ledger.get("workloads", about.workload);
    if (stored === undefined || overtaking(message, about, stored.value) !== undefined) return ordered;
    const { id, rev, value } = stored;
    const write = {
      collection: "workloads",
      id,
      expect: rev,
      value: remembered(message, about, value),
    } as const;
    return { ...ordered, writes: [write] };
  }
  if (ordered.kind !== "ordered") return ordered;
  const own = ordered.writes.find(isOf(about.workload));
  const last = own && overtaking(message, about, own.value);
  if (last !== undefined) {
    const detail = `${last.by} ordered \`${last.do}\` of ${about.workload} after this, which is carried out: order again what is wanted now`;
    return { kind: "refused", detail };
  }
  const writes = ordered.writes.map((write) =>
    isOf(about.workload)(write) ? { ...write, value: remembered(message, about, write.value) } : write,
  );
  return { ...ordered, writes };
}

type WorkloadWrite = Extract<Write, { collection: "workloads" }>;

function isOf(workload: WorkloadId): (write: Write) => write is WorkloadWrite {
  return (write): write is WorkloadWrite => write.collection === "workloads" && write.id === workload;
}

function overtaking({ by, heardMs }: OrderMessage, { subject }: About, { orders }: WorkloadDocument) {
  const last = orders?.[subject];
  return last?.by === by && heardMs < last.givenMs ? last : undefined;
}

function remembered(
  { by, heardMs, order }: OrderMessage,
  { subject }: About,
  document: WorkloadDocument,
): WorkloadDocument {
  return { ...document, orders: { ...document.orders, [subject]: { do: order.do, by, givenMs: heardMs } } };
}

/** What two orders must be about for one to come in the other's place. */
function subjectOf(order: Order): About | undefined {
  switch (order.do) {
    case "deploy":
    case "rollback":
      return { subject: "place", workload: order.workload };
    case "release":
      if (order.workload === undefined || order.digest !== undefined) return undefined;
      return { subject: "place", workload: order.workload };
    case "pause":
    case "resume":
      return { subject: "pause", workload: order.workload };
    case "hold":
    case "accept":
    case "replay":
      return undefined;
    default:
      return order satisfies never;
  }
}
