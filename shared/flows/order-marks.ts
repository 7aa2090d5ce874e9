import type { OrderMessage } from "../bus/bus.ts";
import type { Order } from "../domain/order.ts";
import type { Digest } from "../domain/reference.ts";
import { addressOf, type WorkloadId } from "../domain/workload.ts";
import { isTargetTrouble, messageOf } from "../errors.ts";
import type { Hold, OpenRollout, Stored, WorkloadDocument, Write } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";
import { closing, undoneBy } from "./history.ts";
import { loadImage } from "./image.ts";
import type { Ordered } from "./orders.ts";
import { newDocument } from "./plan-writes.ts";
import { attended } from "./relook.ts";

/** What a person wants to be remembered of a workload or an image; nothing is deployed by it. */
type Mark<Kind extends Order["do"]> = Order & { readonly do: Kind };

/** Keeps a digest from being deployed. What runs is left as it is; a rollout to it that has written nothing yet ends. */
export async function hold(deps: FlowDeps, message: OrderMessage, order: Mark<"hold">): Promise<Ordered> {
  const { digest, workload, reason = "held" } = order;
  const { by } = message;
  const held: Hold = { digest, reason, sinceMs: await deps.ledger.clock(), by };
  const isKnown = (each: Hold) =>
    each.digest === digest && each.by !== undefined && (order.reason ?? each.reason) === each.reason;
  const added = (holds: readonly Hold[]) => [...holds.filter((each) => each.digest !== digest), held];
  if (workload !== undefined) {
    return changed(deps, workload, async (document) => {
      if (document.holds.some(isKnown)) {
        return { kind: "already", detail: `${digest} was held for ${workload} already` };
      }
      const stopped = await stop(deps, document, `held by ${by}`, digest);
      const value = { ...stopped.document, holds: added(document.holds) };
      const detail = `${digest} is held for ${workload}${stands(value, digest)}`;
      return { kind: "changed", value, more: stopped.writes, detail };
    });
  }
  const before = await loadImage(deps, order.image);
  const { holds = [] } = before.value;
  const name = `${order.image}@${digest}`;
  if (holds.some(isKnown)) return { kind: "already", detail: `${name} was held everywhere already` };
  const value = { ...before.value, holds: added(holds) };
  const running: WorkloadId[] = [];
  const stops: Write[] = [];
  for (const { id, rev, value: document } of await deps.ledger.workloads()) {
    const stopped = await stop(deps, document, `held by ${by} everywhere`, digest);
    if (stopped.writes.length > 0) {
      stops.push({ collection: "workloads", id, expect: rev, value: stopped.document }, ...stopped.writes);
    } else if (isToBeWritten(document, digest)) {
      const open = { ...document.open, stopped: `held by ${by} everywhere` };
      stops.push({ collection: "workloads", id, expect: rev, value: { ...document, open } });
    } else if (stands(document, digest) !== "") {
      running.push(document.workload);
    }
  }
  const untouched = running.length === 0 ? "" : `; ${running.join(", ")} not touched, where it runs`;
  return {
    kind: "ordered",
    detail: `${name} is held everywhere${untouched}`,
    writes: [{ collection: "images", id: before.id, expect: before.rev, value }, ...stops],
  };
}

/** Whether somebody may be about to write it: who is, meets that it is stopped before the write. */
function isToBeWritten(
  document: WorkloadDocument,
  digest: Digest,
): document is WorkloadDocument & { readonly open: OpenRollout } {
  const { open } = document;
  if (open === undefined || open.state === "verifying" || open.undoes !== undefined) return false;
  return Object.values(open.to).some((to) => to.digest === digest);
}

/** What a person should know who holds what is there already. */
function stands({ workload, deployed, open }: WorkloadDocument, digest: Digest): string {
  if (open !== undefined && Object.values(open.to).some((to) => to.digest === digest)) {
    return `; rollout ${open.seq} has brought it there and goes on: \`landfall rollback ${workload}\` takes it back`;
  }
  if (!Object.values(deployed ?? {}).includes(digest)) return "";
  return `; it runs there and is left running: \`landfall rollback ${workload}\` takes it back`;
}

/** Takes back holds and pins: of a workload, or the hold of a digest everywhere. */
export async function release(deps: FlowDeps, order: Mark<"release">): Promise<Ordered> {
  const { workload, image, digest } = order;
  if (workload !== undefined) {
    return changed(deps, workload, async ({ pin, holds, ...rest }) => {
      const left = digest === undefined ? [] : holds.filter((each) => each.digest !== digest);
      const kept = digest === undefined || pin === undefined ? {} : { pin };
      if (left.length === holds.length && (pin === undefined || kept.pin !== undefined)) {
        const what = digest === undefined ? "nothing is held for it, and nobody pinned it" : "it is not held";
        return { kind: "already", detail: `${workload}: ${what}` };
      }
      const freed = [
        ...(pin === undefined || kept.pin !== undefined ? [] : [`the pin of ${pin.by}`]),
        ...holds.filter((each) => !left.includes(each)).map((each) => `the hold of ${each.digest}`),
      ];
      const detail = `${workload} is released from ${freed.join(" and ")}`;
      return { kind: "changed", value: { ...rest, ...kept, holds: left }, detail, relook: workload };
    });
  }
  if (image === undefined || digest === undefined) {
    return { kind: "refused", detail: "name a workload, or an image with its digest" };
  }
  const before = await loadImage(deps, image);
  const holds = before.value.holds ?? [];
  const left = holds.filter((each) => each.digest !== digest);
  if (left.length === holds.length) {
    return { kind: "already", detail: `${image}@${digest} is not held everywhere` };
  }
  const nowMs = await deps.ledger.clock();
  const value = { ...before.value, holds: left, relookMs: nowMs, dueMs: nowMs };
  return {
    kind: "ordered",
    detail: `${image}@${digest} is released`,
    writes: [{ collection: "images", id: before.id, expect: before.rev, value }],
    images: [image],
  };
}

/** Leaves a workload alone; a rollout that has written nothing yet ends. */
export async function pause(deps: FlowDeps, message: OrderMessage, order: Mark<"pause">): Promise<Ordered> {
  const { workload, untilMs, reason } = order;
  const { by } = message;
  return changed(deps, workload, async (document) => {
    const before = document.pause;
    if (before !== undefined && before.untilMs === untilMs && (reason ?? before.reason) === before.reason) {
      return { kind: "already", detail: `${workload} was paused by ${before.by} already` };
    }
    const stopped = await stop(deps, document, `paused by ${by}`);
    const until = untilMs === undefined ? {} : { untilMs };
    const why = reason === undefined ? {} : { reason };
    const marked = { by, sinceMs: await deps.ledger.clock(), ...until, ...why };
    const value = { ...stopped.document, pause: marked };
    const goesOn = value.open === undefined ? "" : `; rollout ${value.open.seq}, which it is in, goes on`;
    const long = untilMs === undefined ? "" : ` until ${new Date(untilMs).toISOString()}`;
    const detail = `${workload} is paused${long}${goesOn}`;
    return { kind: "changed", value, more: stopped.writes, detail };
  });
}

export async function resume(deps: FlowDeps, { workload }: Mark<"resume">): Promise<Ordered> {
  return changed(deps, workload, async ({ pause: before, ...value }) =>
    before === undefined
      ? { kind: "already", detail: `${workload} is not paused` }
      : { kind: "changed", value, detail: `${workload} goes on`, relook: workload },
  );
}

/**
 * The workload without the rollout that it is in, if that has written nothing yet; and what ends its history.
 * @param digest only a rollout to this one
 */
async function stop(
  deps: FlowDeps,
  document: WorkloadDocument,
  reason: string,
  digest?: Digest,
): Promise<{ readonly document: WorkloadDocument; readonly writes: readonly Write[] }> {
  const { open, ...rest } = document;
  const isMeant =
    digest === undefined || Object.values(open?.to ?? {}).some((wanted) => wanted.digest === digest);
  // Under a lease somebody may be writing; what undoes a failure goes on whatever a person says of the future.
  const isIdle = open?.state === "planned" && open.lease === undefined && open.disputed !== true;
  if (open === undefined || !isMeant || !isIdle || open.undoes !== undefined) return { document, writes: [] };
  const end = { state: "superseded", reason } as const;
  const nowMs = await deps.ledger.clock();
  const undone = await undoneBy(deps, document.workload, open, end);
  const writes = [closing(document, open, end, nowMs), ...(undone === undefined ? [] : [undone])];
  return { document: rest, writes };
}

type Changed =
  | {
      readonly kind: "changed";
      readonly value: WorkloadDocument;
      readonly detail: string;
      readonly more?: readonly Write[];
      readonly relook?: WorkloadId;
    }
  | { readonly kind: "already"; readonly detail: string };

/** A change of what is recorded of a workload; one that Landfall has not met yet is looked for at its target. */
async function changed(
  deps: FlowDeps,
  workload: WorkloadId,
  change: (document: WorkloadDocument) => Promise<Changed>,
): Promise<Ordered> {
  const stored = await documentOf(deps, workload);
  if ("kind" in stored) return stored;
  const made = await change(stored.value);
  if (made.kind === "already") return made;
  const { detail, more = [], relook } = made;
  const look = relook === undefined ? {} : { relookMs: await deps.ledger.clock() };
  const value = attended({ ...made.value, ...look });
  return {
    kind: "ordered",
    detail,
    writes: [{ collection: "workloads", id: stored.id, expect: stored.rev, value }, ...more],
    ...(relook === undefined ? {} : { relook }),
  };
}

async function documentOf(deps: FlowDeps, id: WorkloadId): Promise<Stored<"workloads"> | Ordered> {
  const stored = await deps.ledger.get("workloads", id);
  if (stored !== undefined) return stored;
  const { target, name } = addressOf(id);
  const at = deps.targets.find((each) => each.target.name === target);
  if (at === undefined) return { kind: "refused", detail: `no target of the configuration has ${id}` };
  try {
    const workload = await deps.recorder.step("target.get", () => at.target.get(name));
    if (workload === undefined) return { kind: "refused", detail: `${id} is not at its target` };
  } catch (error) {
    if (!isTargetTrouble(error)) throw error;
    return { kind: "unavailable", detail: messageOf(error) };
  }
  return { id, rev: 0, writer: "", value: newDocument({ id, target, name }) };
}
