import type { OrderMessage } from "../bus/bus.ts";
import { goodFor } from "../decide/aftermath.ts";
import type { Order } from "../domain/order.ts";
import { printReference } from "../domain/reference.ts";
import type { Wanted } from "../domain/rollout.ts";
import type { Container, Workload, WorkloadId } from "../domain/workload.ts";
import { isTargetTrouble, messageOf } from "../errors.ts";
import type { Stored } from "../ledger/ledger.ts";
import type { FlowDeps, FlowTarget } from "./deps.ts";
import { registryReason } from "./observe.ts";
import type { Ordered } from "./orders.ts";
import { planWrites } from "./plan-writes.ts";

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
  const { workload, stored } = named;
  const containers = workload.containers.filter(({ reference }) => reference?.repository === repository);
  if (containers.length === 0)
    return { kind: "refused", detail: `${workload.id} runs nothing of ${repository}` };
  try {
    const head = await deps.recorder.step("registry.head", () => deps.registry.head(repository, tag));
    if (head === undefined) return { kind: "refused", detail: `${image} is not in the registry` };
    const { digest } = head;
    const { channels } = deps.rule(repository);
    // Who is on a channel stays on it: the pin holds it at the digest, and the channel goes on from there later.
    const tagOf = (running = tag) => (channels.some((each) => each.tag === running) ? running : tag);
    const to = Object.fromEntries(
      containers.map(({ name, reference }) => [
        name,
        { ...known(stored, name), repository, tag: tagOf(reference?.tag), digest },
      ]),
    );
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
  const { lastGood, earlierGood = [], baseline } = stored?.value ?? {};
  const running: Wanted = Object.fromEntries(
    workload.containers.flatMap((container) => runningOf(stored, container)),
  );
  const goods = [lastGood, ...earlierGood, baseline].filter((images) => images !== undefined);
  for (const images of goods) {
    const names = Object.keys(running).filter((name) => images[name] !== undefined);
    const to = goodFor(Object.fromEntries(names.map((name) => [name, running[name]]).filter(isEntry)), [
      images,
    ]);
    if (to === undefined || Object.keys(to).length === 0) continue;
    if (!(await isThere(deps, to))) continue;
    const where = Object.values(to).map(({ repository, tag }) => printReference({ repository, tag }));
    return begin(deps, message, named, order, to, `${workload.id} goes back to ${where.join(", ")}`);
  }
  return {
    kind: "refused",
    detail: `no other digest is on record, and in the registry, that ${workload.id} ran well with`,
  };
}

async function begin(
  deps: FlowDeps,
  message: OrderMessage,
  { at, workload, stored }: Named,
  { do: kind, until, reason }: Order & { do: "deploy" | "rollback" },
  to: Wanted,
  detail: string,
): Promise<Ordered> {
  if (!at.target.capabilities.pins) {
    return {
      kind: "refused",
      detail: `${at.target.name} (${at.target.kind}) takes no digest: push the image under the tag that it follows`,
    };
  }
  const sinceMs = await deps.ledger.clock();
  const over = { ...stored?.value.wanted };
  const pin = { until, by: message.by, sinceMs, over, ...(reason === undefined ? {} : { reason }) };
  const cause = { kind, event: message.event, by: message.by } as const;
  const { heardMs } = message;
  const plan = { at, workload, to, cause, heardMs, observedMs: sinceMs, claim: false, more: { pin } };
  const { writes, ticket } = await planWrites(deps, plan, stored);
  return { kind: "ordered", detail, writes, ticket };
}

async function find(deps: FlowDeps, id: WorkloadId): Promise<Named | Ordered> {
  const slash = id.indexOf("/");
  const at = deps.targets.find(({ target }) => target.name === id.slice(0, slash));
  if (at === undefined) return { kind: "refused", detail: `no target of the configuration has ${id}` };
  if (at.mode === "observe") return { kind: "refused", detail: `${at.target.name} is in \`mode: observe\`` };
  const stored = await deps.ledger.get("workloads", id);
  try {
    const workload = await deps.recorder.step("target.get", () => at.target.get(id.slice(slash + 1)));
    return workload === undefined
      ? { kind: "refused", detail: `${id} is not at its target` }
      : { at, workload, stored };
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

function isEntry<T>(
  entry: readonly [string, T | undefined] | readonly (string | T | undefined)[],
): entry is [string, T] {
  return entry[1] !== undefined;
}

async function isThere(deps: FlowDeps, to: Wanted): Promise<boolean> {
  for (const { repository, digest } of Object.values(to)) {
    try {
      const head = await deps.recorder.step("registry.head", () => deps.registry.head(repository, digest));
      if (head === undefined) return false;
    } catch (error) {
      if (registryReason(error) === undefined) throw error;
    }
  }
  return true;
}
