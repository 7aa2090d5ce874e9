import { parseReference, type Reference } from "../../domain/reference.ts";
import { type Workload, workloadId } from "../../domain/workload.ts";
import { isEnvironment, taskErrorOf, taskStateOf } from "../docker-task.ts";
import type { Look, TaskLook } from "../target.ts";
import type { SwarmpitHandle, SwarmpitService, SwarmpitTask } from "./schema.ts";

const settingPrefix = "landfall.";

/** A Swarmpit service as a workload; its one container carries the service's name. */
export function toWorkload(
  target: string,
  { service, stamp }: { readonly service: SwarmpitService; readonly stamp: Workload["stamp"] },
): Workload {
  const name = service.serviceName;
  const image = imageOf(service.repository);
  const reference = referenceOf(image);
  const managedBy = managerOf(service);
  const handle: SwarmpitHandle = { id: service.id, repository: service.repository };
  return {
    id: workloadId(target, name),
    target,
    name,
    version: String(service.version),
    containers: [{ name, image, ...(reference === undefined ? {} : { reference }) }],
    settings: Object.fromEntries(
      ownLabels(service.labels).map((label) => [label.name.slice(settingPrefix.length), label.value ?? ""]),
    ),
    misplacedSettings: ownLabels(service.containerLabels).map((label) => label.name),
    ...(managedBy === undefined ? {} : { managedBy }),
    fence: 0,
    ...standingOf(service),
    ...(stamp === undefined ? {} : { stamp }),
    raw: handle,
  };
}

function standingOf({ status, replicas }: SwarmpitService): Pick<Workload, "standing"> {
  const { running, total } = status?.tasks ?? {};
  const wanted = replicas ?? total ?? undefined;
  if (wanted === undefined || running === undefined || running === null) return {};
  const isPaused = status?.update === "paused" || status?.update === "rollback_paused";
  return { standing: { wanted, running, ...(isPaused ? { outdated: "its update is paused" } : {}) } };
}

export function toTask(container: string, task: SwarmpitTask): TaskLook {
  const prefix = `${container}.`;
  const name = task.taskName ?? task.id;
  const error = taskErrorOf(task.state ?? "", task.status?.error ?? "");
  const created = Date.parse(task.createdAt ?? "");
  return {
    id: task.id,
    slot: name.startsWith(prefix) ? name.slice(prefix.length) : name,
    // `ready`: it waits for its predecessor to stop, or for its restart delay, and is wanted all the same.
    desired: task.desiredState === "running" || task.desiredState === "ready",
    images: { [container]: imageOf(task.repository) },
    state: taskStateOf(task.state ?? ""),
    ...(error === "" ? {} : { error }),
    ...(isEnvironment(task.state ?? "", error) ? { environment: true } : {}),
    restarts: 0,
    createdMs: Number.isNaN(created) ? 0 : created,
  };
}

/**
 * How many tasks the service wants; `undefined` when Swarmpit does not say. Of a global service it counts the tasks
 * that are not to stop, so that one which failed and is not restarted would count as not wanted.
 */
export function wantedTasksOf(service: SwarmpitService, tasks: readonly TaskLook[]): number | undefined {
  const total = service.status?.tasks?.total ?? undefined;
  if (service.replicas !== null && service.replicas !== undefined) return service.replicas;
  if (total === undefined) return undefined;
  const newest = new Map<string, TaskLook>();
  for (const task of tasks) {
    if (task.createdMs >= (newest.get(task.slot)?.createdMs ?? 0)) newest.set(task.slot, task);
  }
  return Math.max(
    total,
    [...newest.values()].filter((task) => task.desired || task.state === "failed").length,
  );
}

/** Docker's update states. A rollback through Swarmpit is an ordinary update there, so it shows as one. */
export function updateOf(service: SwarmpitService): Look["update"] {
  switch (service.status?.update) {
    case "updating":
    case "completed":
    case "paused":
      return service.status.update;
    case "rollback_started":
      return "rolling-back";
    case "rollback_completed":
    // A rollback that failed half-way: the service is short of tasks, and Docker goes no further by itself.
    case "rollback_paused":
      return "rolled-back";
    default:
      return "none";
  }
}

/**
 * Whether Swarmpit takes the port of `reg.example:5000/acme/web` for the start of a tag, as it does with an image
 * without one: it would ask another registry for another image.
 */
export function isMisread(handle: SwarmpitHandle): boolean {
  return handle.repository?.tag?.includes("/") ?? false;
}

/** The image as Docker's spec has it, e.g. `acme/web:v1@sha256:…`: never put together from Swarmpit's name and tag. */
function imageOf(repository: SwarmpitTask["repository"]): string {
  const image = repository?.image ?? "";
  const digest = repository?.imageDigest ?? "";
  return digest === "" ? image : `${image}@${digest}`;
}

function referenceOf(image: string): Reference | undefined {
  const parsed = parseReference(image);
  return parsed.kind === "reference" ? parsed.reference : undefined;
}

function managerOf(service: SwarmpitService): string | undefined {
  if (service.deployment?.autoredeploy === true) return "swarmpit autoredeploy";
  if (service.immutable === true) return "swarmpit, which marks it immutable";
  if (service.agent === true) return "swarmpit, whose agent it is";
  return undefined;
}

function ownLabels(labels: SwarmpitService["labels"]) {
  return (labels ?? []).filter((label) => label.name.startsWith(settingPrefix));
}
