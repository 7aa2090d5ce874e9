import { parseReference } from "../../domain/reference.ts";
import { type Platform, type Standing, type Workload, workloadId } from "../../domain/workload.ts";
import { isEnvironment, taskErrorOf, taskStateOf, updateWords } from "../docker-task.ts";
import type { Look, TaskLook } from "../target.ts";
import type { NodeWire, ServiceWire, TaskWire } from "./schema.ts";
import { seqLabel } from "./spec.ts";

const settingPrefix = "landfall.";
const autoredeployLabel = "swarmpit.service.deployment.autoredeploy";
const nsPerMs = 1_000_000;
const defaultMonitorMs = 5_000;

/** A service as a workload; its one container carries the service's name. `raw` is what a write needs of the engine's own object. */
export function toWorkload(target: string, service: ServiceWire, raw: unknown): Workload {
  const { Name: name, Labels: labels, TaskTemplate: template } = service.Spec;
  const { Image: image, Labels: containerLabels } = template.ContainerSpec;
  const parsed = parseReference(image);
  const platforms = template.Placement?.Platforms ?? [];
  const settings = ownLabels(labels).filter(([key]) => key !== seqLabel);
  const standing = standingOf(service);
  return {
    id: workloadId(target, name),
    target,
    name,
    version: String(service.Version.Index),
    containers: [{ name, image, ...(parsed.kind === "reference" ? { reference: parsed.reference } : {}) }],
    settings: Object.fromEntries(settings.map(([key, value]) => [key.slice(settingPrefix.length), value])),
    misplacedSettings: ownLabels(containerLabels).map(([key]) => key),
    ...(labels?.[autoredeployLabel] === "true" ? { managedBy: "swarmpit autoredeploy" } : {}),
    fence: fenceOf(labels?.[seqLabel]),
    ...(platforms.length === 0
      ? {}
      : { platforms: platforms.map(({ OS, Architecture }) => toPlatform(OS, Architecture)) }),
    ...(standing === undefined ? {} : { standing }),
    raw,
  };
}

/** The engine leaves numbers that are 0 away. */
function standingOf({ ServiceStatus, UpdateStatus }: ServiceWire): Standing | undefined {
  if (ServiceStatus === undefined || ServiceStatus === null) return undefined;
  const { DesiredTasks, RunningTasks } = ServiceStatus;
  const isPaused = UpdateStatus?.State === "paused" || UpdateStatus?.State === "rollback_paused";
  return {
    wanted: DesiredTasks ?? 0,
    running: RunningTasks ?? 0,
    ...(isPaused ? { outdated: "its update is paused" } : {}),
  };
}

/** A job runs to its end: an update would run it once more, so it is nothing to roll out to. */
export function isJob(service: ServiceWire): boolean {
  const mode = service.Spec.Mode;
  return (mode?.ReplicatedJob ?? mode?.GlobalJob ?? undefined) !== undefined;
}

export function toLook(workload: Workload, service: ServiceWire, tasks: readonly TaskWire[]): Look {
  const update = updateOf(service.UpdateStatus?.State);
  const looks = tasks.map((task) => toTask(workload.name, task));
  return {
    workload,
    update,
    ...updateWords(update, service.UpdateStatus?.Message),
    tasks: looks,
    wantedTasks: wantedTasksOf(service, looks),
    windowMs: (service.Spec.UpdateConfig?.Monitor ?? 0) / nsPerMs || defaultMonitorMs,
  };
}

/** Docker's update states. It is reset by every write, so it is never that of an earlier update. */
export function updateOf(state: string | null | undefined): Look["update"] {
  switch (state) {
    case "updating":
    case "completed":
    case "paused":
      return state;
    case "rollback_started":
      return "rolling-back";
    case "rollback_completed":
    // A rollback that failed half-way: the engine goes no further by itself.
    case "rollback_paused":
      return "rolled-back";
    default:
      return "none";
  }
}

/**
 * How many tasks the engine wants to run. A global service wants one a node that may run it, which no field
 * says without a list call: it is the number of nodes that have a task wanted or, where nothing restarts it,
 * failed. A node that was drained has only stopped tasks, and does not count.
 */
export function wantedTasksOf(service: ServiceWire, tasks: readonly TaskLook[]): number {
  if (service.Spec.Mode?.Global === undefined || service.Spec.Mode.Global === null) {
    return service.Spec.Mode?.Replicated?.Replicas ?? 1;
  }
  const newest = new Map<string, TaskLook>();
  for (const task of tasks) {
    if (task.createdMs >= (newest.get(task.slot)?.createdMs ?? 0)) newest.set(task.slot, task);
  }
  return [...newest.values()].filter((task) => task.desired || task.state === "failed").length;
}

export function toTask(container: string, task: TaskWire): TaskLook {
  const state = task.Status?.State ?? "";
  const error = taskErrorOf(state, task.Status?.Err ?? "");
  const created = Date.parse(task.CreatedAt ?? "");
  return {
    id: task.ID,
    slot: task.Slot === undefined || task.Slot === null ? (task.NodeID ?? task.ID) : String(task.Slot),
    // `ready`: it waits for its predecessor to stop, or for its restart delay, and is wanted all the same.
    desired: task.DesiredState === "running" || task.DesiredState === "ready",
    images: { [container]: task.Spec?.ContainerSpec?.Image ?? "" },
    state: taskStateOf(state),
    ...(error === "" ? {} : { error }),
    ...(isEnvironment(state, error) ? { environment: true } : {}),
    // A task is never started twice: the engine makes another one.
    restarts: 0,
    createdMs: Number.isNaN(created) ? 0 : created,
  };
}

/** Distinct platforms of the nodes that take tasks, in Docker's image names for them. */
export function nodePlatforms(nodes: readonly NodeWire[]): readonly Platform[] {
  const platforms = new Map<string, Platform>();
  for (const node of nodes) {
    const platform = node.Description?.Platform;
    if (node.Spec?.Availability !== "active" || platform === undefined || platform === null) continue;
    const found = toPlatform(platform.OS, platform.Architecture);
    platforms.set(`${found.os}/${found.architecture}/${found.variant ?? ""}`, found);
  }
  return [...platforms.values()];
}

/** A node says what `uname -m` says; an image, and a spec's list, what Go calls it. */
function toPlatform(os: string | null | undefined, machine: string | null | undefined): Platform {
  const known = machines[(machine ?? "").toLowerCase()];
  return { os: os ?? "", ...(known ?? { architecture: machine ?? "" }) };
}

const machines: Readonly<Record<string, Omit<Platform, "os">>> = {
  x86_64: { architecture: "amd64" },
  aarch64: { architecture: "arm64" },
  armv7l: { architecture: "arm", variant: "v7" },
  armv6l: { architecture: "arm", variant: "v6" },
  i386: { architecture: "386" },
  i686: { architecture: "386" },
};

function fenceOf(label: string | undefined): number {
  return label !== undefined && /^\d{1,15}$/.test(label) ? Number(label) : 0;
}

function ownLabels(labels: Readonly<Record<string, string>> | null | undefined): [string, string][] {
  return Object.entries(labels ?? {}).filter(([key]) => key.startsWith(settingPrefix));
}
