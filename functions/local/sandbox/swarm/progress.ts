import type { PulledImage } from "./image.ts";
import {
  bump,
  earliest,
  isDirty,
  newId,
  record,
  type ServiceRecord,
  type SwarmState,
  slotsOf,
  suits,
  type TaskRecord,
  type TaskState,
  wantedSlots,
} from "./state.ts";

/** How long the steps of a task and of an update take, ms. */
export interface Timing {
  /** From an accepted update until `updating` is said. */
  readonly beginMs: number;
  readonly pullMs: number;
  readonly startMs: number;
  readonly stopMs: number;
}

export interface Progress {
  readonly state: SwarmState;
  readonly timing: Timing;
  /** Whether a node takes new tasks. */
  readonly takesTasks: boolean;
  /** What a node gets when it pulls for this service; `undefined` when it gets nothing, for whatever reason. */
  readonly pull: (service: ServiceRecord, image: string) => Promise<PulledImage | undefined>;
}

const ended: ReadonlySet<TaskState> = new Set(["complete", "failed", "rejected", "shutdown"]);
const nsPerMs = 1_000_000;
const defaultMonitorMs = 5_000;
const defaultRestartDelayMs = 5_000;
const historyPerSlot = 5;
/** How soon a task that no node took is offered again. */
const schedulingMs = 1_000;

/**
 * Does everything that was due until `nowMs`, each step at its own time and in order. Nothing else moves the
 * swarm, so it needs no timer: what nobody asks about happens when somebody asks.
 */
export async function advance(progress: Progress, nowMs: number): Promise<void> {
  const { state } = progress;
  for (;;) {
    const task = earliest(state.tasks);
    const service = earliest(state.services.flatMap((each) => (each.rollout ? [each.rollout] : [])));
    const atMs = Math.min(task?.dueMs ?? Infinity, service?.dueMs ?? Infinity);
    if (atMs === Infinity || atMs > nowMs) return;
    if (task?.dueMs === atMs) await step(progress, task, atMs);
    for (const each of state.services) roll(progress, each, atMs);
  }
}

/** Brings the slots to what the spec asks for after a create or an update, and begins the rollout if one is needed. */
export function reconcile(
  progress: Progress,
  service: ServiceRecord,
  kind: "update" | "rollback",
  atMs: number,
): void {
  const { state, timing } = progress;
  const wanted = wantedSlots(service.spec);
  const slots = slotsOf(state, service);
  for (const [slot, tasks] of slots) {
    if (wanted.includes(slot)) continue;
    for (const task of tasks) Object.assign(task, { desired: "remove", dueMs: atMs + timing.stopMs });
  }
  const missing = wanted.filter((slot) => !slots.has(slot));
  for (const slot of missing) createTask(state, service, slot, "running", atMs);
  const dirty = wanted.some((slot) => slots.has(slot) && isDirty(service, slots.get(slot)?.at(-1)));
  const beginMs = kind === "rollback" ? atMs : atMs + timing.beginMs;
  // A rollback that changes no task is over at once, but it is over: it was announced.
  const rolls = dirty || kind === "rollback";
  service.rollout = rolls ? { kind, beginMs, dueMs: beginMs, tasks: [] } : undefined;
}

async function step(progress: Progress, task: TaskRecord, atMs: number): Promise<void> {
  const { state, timing } = progress;
  const service = state.services.find((each) => each.id === task.serviceId);
  task.dueMs = undefined;
  if (task.desired === "remove" || service === undefined) {
    state.tasks = state.tasks.filter((each) => each !== task);
    return;
  }
  if (task.desired === "shutdown") return enter(state, task, "shutdown", atMs);
  switch (task.state) {
    case "new":
    case "pending":
      task.desired = "running";
      if (!progress.takesTasks) {
        task.error = "no suitable node (1 node not available for new tasks)";
        return enter(state, task, "pending", atMs, atMs + schedulingMs);
      }
      if (suits(task)) {
        task.error = undefined;
        return enter(state, task, "preparing", atMs, atMs + timing.pullMs);
      }
      task.error = "no suitable node (unsupported platform on 1 node)";
      return enter(state, task, "pending", atMs);
    case "preparing": {
      const image = await progress.pull(service, task.template.ContainerSpec.Image);
      if (image !== undefined) {
        task.exit = image.exit;
        task.neverRuns = image.neverRuns;
        return enter(state, task, "starting", atMs, atMs + (image.neverRuns?.afterMs ?? timing.startMs));
      }
      task.error = `No such image: ${task.template.ContainerSpec.Image}`;
      enter(state, task, "rejected", atMs);
      return restart(state, service, task, atMs);
    }
    case "starting":
      if (task.neverRuns !== undefined) {
        task.error = task.neverRuns.error;
        enter(state, task, "failed", atMs);
        return restart(state, service, task, atMs);
      }
      task.ranMs = atMs;
      enter(state, task, "running", atMs, task.exit && atMs + task.exit.afterMs);
      stopOlder(state, service, task, atMs + timing.stopMs);
      return;
    case "running":
      task.exitCode = task.exit?.code ?? 0;
      if (task.exitCode !== 0) task.error = `task: non-zero exit (${task.exitCode})`;
      enter(state, task, task.exitCode === 0 ? "complete" : "failed", atMs);
      return restart(state, service, task, atMs);
    default:
      return;
  }
}

function enter(state: SwarmState, task: TaskRecord, to: TaskState, atMs: number, dueMs?: number): void {
  Object.assign(task, { state: to, stateMs: atMs, dueMs, version: bump(state) });
}

function stop(task: TaskRecord, dueMs: number): void {
  if (task.desired === "shutdown") return;
  task.desired = "shutdown";
  task.dueMs = ended.has(task.state) ? undefined : dueMs;
}

/** With start-first the old task of a slot runs until the new one does. */
function stopOlder(state: SwarmState, service: ServiceRecord, task: TaskRecord, dueMs: number): void {
  const slot = slotsOf(state, service).get(task.slot) ?? [];
  for (const older of slot.slice(0, slot.indexOf(task))) stop(older, dueMs);
}

function restart(state: SwarmState, service: ServiceRecord, task: TaskRecord, atMs: number): void {
  const policy = service.spec.TaskTemplate.RestartPolicy;
  task.desired = "shutdown";
  if (policy?.Condition === "none" || (policy?.Condition === "on-failure" && task.state === "complete"))
    return;
  const delayMs = milliseconds(policy?.Delay) ?? defaultRestartDelayMs;
  createTask(state, service, task.slot, "ready", atMs, atMs + delayMs);
}

function createTask(
  state: SwarmState,
  service: ServiceRecord,
  slot: number,
  desired: "ready" | "running",
  atMs: number,
  dueMs = atMs,
): TaskRecord {
  const old = (slotsOf(state, service).get(slot) ?? []).filter((task) => ended.has(task.state));
  const forgotten = new Set(old.slice(0, Math.max(0, old.length + 1 - historyPerSlot)));
  state.tasks = state.tasks.filter((task) => !forgotten.has(task));
  const task: TaskRecord = {
    id: newId(state, "task"),
    version: bump(state),
    serviceId: service.id,
    slot,
    template: service.spec.TaskTemplate,
    createdMs: atMs,
    state: "new",
    stateMs: atMs,
    desired,
    error: undefined,
    exitCode: 0,
    ranMs: undefined,
    dueMs,
    exit: undefined,
  };
  state.tasks.push(task);
  return task;
}

/** Moves an update on: replaces as many slots as may be replaced at once, watches them, ends the update. */
function roll(progress: Progress, service: ServiceRecord, atMs: number): void {
  const { state, timing } = progress;
  const rollout = service.rollout;
  if (rollout === undefined || atMs < rollout.beginMs) return;
  rollout.dueMs = undefined;
  if (service.status === undefined) say(state, service, "updating", "update in progress", atMs);
  const { spec } = service;
  const config = (rollout.kind === "update" ? spec.UpdateConfig : spec.RollbackConfig) ?? {};
  const monitorMs = milliseconds(config.Monitor) || defaultMonitorMs;
  const delayMs = milliseconds(config.Delay) ?? 0;
  const slots = slotsOf(state, service);
  const ours = state.tasks.filter((task) => rollout.tasks.includes(task.id));

  const failed = ours.filter(
    (task) =>
      ended.has(task.state) &&
      task.state !== "shutdown" &&
      task.stateMs - (task.ranMs ?? task.stateMs) < monitorMs,
  );
  const [first] = failed;
  if (
    first !== undefined &&
    config.FailureAction !== "continue" &&
    failed.length / slots.size > (config.MaxFailureRatio ?? 0)
  ) {
    giveUp(progress, service, first, config.FailureAction === "rollback", atMs);
    return;
  }

  const settledMs = (task: TaskRecord) => (task.ranMs ?? task.stateMs) + delayMs;
  const begun = ours.filter((task) => task.ranMs !== undefined || ended.has(task.state));
  const busy = ours.length - begun.filter((task) => settledMs(task) <= atMs).length;
  const dirty = [...slots].filter(([, tasks]) => isDirty(service, tasks.at(-1)));
  const atOnce = (config.Parallelism ?? 1) || Infinity;
  for (const [slot, tasks] of dirty.slice(0, Math.max(0, atOnce - busy))) {
    const startFirst = config.Order === "start-first";
    if (!startFirst) for (const task of tasks) stop(task, atMs + timing.stopMs);
    rollout.tasks.push(
      createTask(state, service, slot, "running", atMs, startFirst ? atMs : atMs + timing.stopMs).id,
    );
  }
  if (dirty.length > 0 || busy > 0) {
    const next = begun.map(settledMs).filter((each) => each > atMs);
    if (next.length > 0) rollout.dueMs = Math.min(...next);
    return;
  }
  const doneMs = Math.max(...begun.map((task) => task.ranMs ?? task.stateMs)) + monitorMs;
  if (atMs < doneMs) {
    rollout.dueMs = doneMs;
    return;
  }
  service.rollout = undefined;
  if (rollout.kind === "update") say(state, service, "completed", "update completed", atMs);
  else say(state, service, "rollback_completed", "rollback completed", atMs);
}

function giveUp(
  progress: Progress,
  service: ServiceRecord,
  failed: TaskRecord,
  rollBack: boolean,
  atMs: number,
): void {
  const { state } = progress;
  const kind = service.rollout?.kind;
  const why = `due to failure or early termination of task ${failed.id}`;
  service.rollout = undefined;
  if (kind === "update" && rollBack && service.previousSpec !== undefined) {
    service.spec = service.previousSpec;
    service.credentials = service.previousCredentials;
    service.previousSpec = undefined;
    say(state, service, "rollback_started", `update rolled back ${why}`, atMs);
    reconcile(progress, service, "rollback", atMs);
    return;
  }
  say(state, service, kind === "rollback" ? "rollback_paused" : "paused", `update paused ${why}`, atMs);
}

/** Sets what the swarm says about the update; the version moves with it, although nobody wrote. */
export function say(
  state: SwarmState,
  service: ServiceRecord,
  to: string,
  message: string,
  atMs: number,
): void {
  const at = new Date(atMs).toISOString();
  const before = service.status;
  const done = to.endsWith("completed");
  const starts = before === undefined || to === "rollback_started";
  service.status = {
    State: to,
    StartedAt: starts ? at : before.StartedAt,
    ...(done ? { CompletedAt: at } : {}),
    Message: message,
  };
  service.version = bump(state);
  service.updatedMs = atMs;
  record(state, service, "update", atMs, {
    ...(before === undefined ? {} : { "updatestate.old": before.State }),
    "updatestate.new": to,
  });
}

function milliseconds(nanoseconds: number | undefined): number | undefined {
  return nanoseconds === undefined ? undefined : nanoseconds / nsPerMs;
}
