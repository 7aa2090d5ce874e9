import type { OrderMessage } from "../bus/bus.ts";
import { goodsOf, waysBack } from "../decide/aftermath.ts";
import { asFollowed } from "../decide/way-back.ts";
import type { Order } from "../domain/order.ts";
import { type Digest, printReference, type Repository } from "../domain/reference.ts";
import { shows, type Wanted } from "../domain/rollout.ts";
import { addressOf, type Container, type Workload, type WorkloadId } from "../domain/workload.ts";
import { isTargetTrouble, messageOf } from "../errors.ts";
import { type Hold, rolloutId, type Stored, type WorkloadDocument } from "../ledger/ledger.ts";
import { channelsBack, hasLeftChannels } from "./channels-back.ts";
import type { FlowDeps, FlowTarget } from "./deps.ts";
import { printTime } from "./freezes.ts";
import { loadImage } from "./image.ts";
import { registryReason } from "./observe.ts";
import { observedOf, underItsTag } from "./order-generations.ts";
import type { Ordered } from "./orders.ts";
import { planWrites } from "./plan-writes.ts";
import { heldEverywhere, isThere } from "./roll-back.ts";
import { wayTo } from "./way-to.ts";

/** A workload that an order names, as it is now and as it is on record. */
interface Named {
  readonly at: FlowTarget;
  readonly workload: Workload;
  readonly stored: Stored<"workloads"> | undefined;
}

/** Brings a workload to what a tag points to now: every container that runs the repository. */
export async function bringTo(
  deps: FlowDeps,
  message: OrderMessage,
  order: Order & { do: "deploy" },
): Promise<Ordered> {
  const { image: repository, tag } = order;
  const image = printReference({ repository, tag });
  if (!deps.follows(repository))
    return { kind: "refused", detail: `${repository} is not matched by \`follow\`` };
  const named = await find(deps, order.workload);
  if ("kind" in named) return named;
  const { at, workload, stored } = named;
  const frozenMs = deps.frozenUntil(at.target.name, await deps.ledger.clock());
  if (frozenMs !== undefined) {
    const when = `${at.target.name} is frozen until ${printTime(frozenMs)}`;
    return { kind: "refused", detail: `${when}: order it then; only a rollback goes through a freeze` };
  }
  const containers = workload.containers.filter(({ reference }) => reference?.repository === repository);
  if (containers.length === 0)
    return { kind: "refused", detail: `${workload.id} runs nothing of ${repository}` };
  try {
    const head = await deps.recorder.step("registry.head", () => deps.registry.head(repository, tag));
    if (head === undefined) return { kind: "refused", detail: `${image} is not in the registry` };
    const { digest } = head;
    const held = await heldByPerson(deps, { id: workload.id, stored }, repository, digest);
    if (held !== undefined) return { kind: "refused", detail: held };
    const { channels } = deps.rule(repository);
    // Who is on a channel stays on it: the pin holds it at the digest, and the channel goes on from there later.
    const tagOf = (running = tag) => (channels.some((each) => each.tag === running) ? running : tag);
    const wanted = Object.fromEntries(
      containers.map(({ name, reference }) => [
        name,
        { ...known(stored, name), repository, tag: tagOf(reference?.tag), digest },
      ]),
    );
    const to = await underItsTag(deps, wanted, stored?.value.wanted);
    return begin(deps, message, named, order, to, `${workload.id} is brought to ${image}`);
  } catch (error) {
    if (registryReason(error) === undefined) throw error;
    return { kind: "unavailable", detail: messageOf(error) };
  }
}

/** Brings a workload back to the newest images that it ran well with before those that it names now. */
export async function bringBack(
  deps: FlowDeps,
  message: OrderMessage,
  order: Order & { do: "rollback" },
): Promise<Ordered> {
  const named = await find(deps, order.workload);
  if ("kind" in named) return named;
  const { workload, stored } = named;
  const open = stored?.value.open;
  if (open?.cause.kind === "rollback") {
    return begin(deps, message, named, order, open.to, `${workload.id} is being brought back already`);
  }
  const since = await movedSince(deps, order, stored?.value);
  if (since !== undefined) return since;
  // What is on its way there is what a person wants to get rid of, not what still runs until then.
  const running: Wanted = {
    ...Object.fromEntries(workload.containers.flatMap((container) => runningOf(stored, container))),
    ...open?.to,
  };
  if (order.channel === true && open === undefined && (await hasLeftChannels(deps, running))) {
    return begin(deps, message, named, order, running, `${workload.id} stays where it is`);
  }
  const everywhere = await heldEverywhere(deps, running);
  const goods = stored === undefined ? [] : goodsOf(stored.value, everywhere);
  for (const to of waysBack(running, goods)) {
    if (!(await isThere(deps, to))) continue;
    const where = Object.values(to).map(({ repository, tag }) => printReference({ repository, tag }));
    return begin(deps, message, named, order, to, `${workload.id} goes back to ${where.join(", ")}`);
  }
  return {
    kind: "refused",
    detail: `no other digest is on record, and in the registry, that ${workload.id} ran well with`,
  };
}

/** What a person says who does not know what happened since: it is not that which was to be taken back. */
async function movedSince(
  deps: FlowDeps,
  { workload, seen }: Order & { do: "rollback" },
  document: WorkloadDocument | undefined,
): Promise<Ordered | undefined> {
  const { seq = 0 } = document ?? {};
  if (seen === undefined || seq <= seen) return undefined;
  const newest = await deps.ledger.get("rollouts", rolloutId(workload, seq));
  const { kind, by = "Landfall" } = newest?.value.cause ?? {};
  return kind === "rollback"
    ? { kind: "already", detail: `${workload} was brought back by ${by} meanwhile, by rollout ${seq}` }
    : {
        kind: "refused",
        detail: `rollout ${seq} has moved ${workload} on meanwhile: look with \`landfall status ${workload}\`, and order again`,
      };
}

async function begin(
  deps: FlowDeps,
  message: OrderMessage,
  { at, workload, stored }: Named,
  order: Order & { do: "deploy" | "rollback" },
  to: Wanted,
  detail: string,
): Promise<Ordered> {
  const { do: kind, until, reason } = order;
  const before = stored?.value;
  const sinceMs = await deps.ledger.clock();
  const { over: observed, checks } = await observedOf(deps, to);
  const over = { ...before?.wanted, ...observed };
  const pin = { until, by: message.by, sinceMs, over, ...(reason === undefined ? {} : { reason }) };
  // What Landfall held because it failed is a person's to try again; if it fails again, it is held again.
  const digests = Object.values(to).map(({ digest }) => digest);
  const holds = (before?.holds ?? []).filter(
    (each) => each.by !== undefined || !digests.includes(each.digest),
  );
  const more = { pin, holds };
  const moved = kind === "rollback" && order.channel === true ? await channelsBack(deps, message, to) : none;
  if (moved.kind === "refused") return moved;
  const { writes: channels, images } = moved;
  const under = underWay(before, workload, kind, to);
  if (before !== undefined && under !== undefined) {
    const { pin: pinned } = before;
    const joined = under.seq === undefined ? {} : { joined: { workload: workload.id, seq: under.seq } };
    const isSaid = pinned?.until === until && (reason ?? pinned.reason) === pinned.reason;
    if (isSaid && channels.length === 0) return { kind: "already", detail: under.detail, ...joined };
    const value = { ...before, pin: { ...pin, over: pinned?.over ?? over }, holds };
    const write = { collection: "workloads", id: workload.id, expect: stored?.rev ?? 0, value } as const;
    const told = `${under.detail}; it is pinned there${moved.detail}`;
    return { kind: "ordered", detail: told, writes: [write, ...channels], checks, images, ...joined };
  }
  const way = await orderedWay(deps, { at, workload, stored }, order, to);
  if (way.kind !== "goes") return way;
  const cause = { kind, event: message.event, by: message.by } as const;
  const { heardMs } = message;
  const plan = { at, workload, to, cause, heardMs, observedMs: sinceMs, claim: false, via: way.via, more };
  const { writes, ticket } = await planWrites(deps, plan, stored);
  const told = `${detail}${moved.detail}`;
  return { kind: "ordered", detail: told, writes: [...writes, ...channels], checks, images, ticket };
}

/** A target that takes no digest is asked for tags only, and goes back only where that is sure to lead there. */
async function orderedWay(
  deps: FlowDeps,
  { at, workload, stored }: Named,
  order: Order & { do: "deploy" | "rollback" },
  to: Wanted,
): Promise<
  | { readonly kind: "goes"; readonly via: Readonly<Record<string, string>> | undefined }
  | Extract<Ordered, { kind: "refused" | "unavailable" }>
> {
  const { rollsBackTo } = at.target.capabilities;
  if (rollsBackTo === "any") return { kind: "goes", via: undefined };
  if (order.do === "deploy") {
    return { kind: "goes", via: Object.fromEntries(Object.keys(to).map((name) => [name, order.tag])) };
  }
  const way = await wayTo(deps, stored?.value, workload, to);
  switch (way.kind) {
    case "none":
      return { kind: "refused", detail: way.why };
    case "unavailable":
      return { kind: "unavailable", detail: way.message };
    case "there":
    case "back":
    case "tags":
      // Which way it is by then, is seen right before the write.
      return { kind: "goes", via: undefined };
    default:
      return way satisfies never;
  }
}

const none = { kind: "moved", detail: "", writes: [], images: [] } as const;

/** What says that a workload is, or gets, where an order wants it without one more rollout. */
function underWay(
  before: WorkloadDocument | undefined,
  workload: Workload,
  kind: "deploy" | "rollback",
  to: Wanted,
): { readonly detail: string; readonly seq?: number } | undefined {
  const isAt = (digests: Readonly<Record<string, string | undefined>>) =>
    Object.entries(to).every(([name, { digest }]) => digests[name] === digest);
  const { open, deployed, unproven } = before ?? {};
  if (open !== undefined) {
    const digests = Object.fromEntries(Object.entries(open.to).map(([name, { digest }]) => [name, digest]));
    // One that nobody ordered may still be stopped, by a freeze for example, before it has written anything.
    const isSure = open.state !== "planned" || open.cause.kind === kind;
    if (!isSure || !isAt(digests)) return undefined;
    return { seq: open.seq, detail: `${workload.id} gets there by rollout ${open.seq}, which is under way` };
  }
  const isProven = Object.keys(to).every((name) => unproven?.[name] === undefined);
  if (!isProven || !shows(workload, to) || deployed === undefined || !isAt(deployed)) return undefined;
  return { detail: `${workload.id} runs that already` };
}

/** A person may hold a digest: who deploys it all the same takes the hold back first. */
async function heldByPerson(
  deps: FlowDeps,
  { id, stored }: { readonly id: WorkloadId; readonly stored: Stored<"workloads"> | undefined },
  image: Repository,
  digest: Digest,
): Promise<string | undefined> {
  const isMeant = (hold: Hold) => hold.digest === digest && hold.by !== undefined;
  const own = stored?.value.holds.find(isMeant);
  if (own !== undefined) return says(own, "for it", `landfall release ${id} ${digest}`);
  const everywhere = (await loadImage(deps, image)).value.holds?.find(isMeant);
  return everywhere && says(everywhere, "everywhere", `landfall release ${image}@${digest}`);
}

function says({ by = "somebody", digest, reason }: Hold, where: string, undo: string): string {
  return `${by} holds ${digest} ${where} (${reason}): \`${undo}\` comes first`;
}

async function find(deps: FlowDeps, id: WorkloadId): Promise<Named | Ordered> {
  const { target: of, name } = addressOf(id);
  const at = deps.targets.find(({ target }) => target.name === of);
  if (at === undefined) return { kind: "refused", detail: `no target of the configuration has ${id}` };
  if (at.mode === "observe") return { kind: "refused", detail: `${at.target.name} is in \`mode: observe\`` };
  const stored = await deps.ledger.get("workloads", id);
  try {
    const workload = await deps.recorder.step("target.get", () => at.target.get(name));
    return workload === undefined
      ? { kind: "refused", detail: `${id} is not at its target` }
      : { at, workload: asFollowed(workload, stored?.value.detours), stored };
  } catch (error) {
    if (!isTargetTrouble(error)) throw error;
    return { kind: "unavailable", detail: messageOf(error) };
  }
}

/** Under what was observed last of the container: whatever is observed later is newer than the order. */
function known(stored: Stored<"workloads"> | undefined, name: string) {
  const { generation = 0, line } = stored?.value.wanted[name] ?? {};
  return { generation, ...(line === undefined ? {} : { line }) };
}

function runningOf(stored: Stored<"workloads"> | undefined, { name, reference }: Container) {
  const { repository, tag, digest } = reference ?? {};
  if (repository === undefined || tag === undefined || digest === undefined) return [];
  return [[name, { ...known(stored, name), repository, tag, digest }] as const];
}
