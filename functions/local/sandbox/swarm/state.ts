import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { NeverRuns } from "./image.ts";

/** The parts of a service's spec that the small swarm acts on; every other field is kept as it was posted. */
export interface ServiceSpec {
  readonly Name: string;
  readonly Labels?: Readonly<Record<string, string>>;
  readonly TaskTemplate: TaskTemplate;
  readonly Mode?: { readonly Replicated?: { readonly Replicas?: number }; readonly Global?: object };
  readonly UpdateConfig?: UpdateConfig;
  readonly RollbackConfig?: UpdateConfig;
}

interface TaskTemplate {
  readonly ContainerSpec: { readonly Image: string };
  readonly Placement?: {
    readonly Platforms?: readonly { readonly OS?: string; readonly Architecture?: string }[];
  };
  readonly RestartPolicy?: { readonly Condition?: string; readonly Delay?: number };
}

/** Durations in ns. */
interface UpdateConfig {
  readonly Parallelism?: number;
  readonly Delay?: number;
  readonly FailureAction?: string;
  readonly Monitor?: number;
  readonly MaxFailureRatio?: number;
  readonly Order?: string;
}

/** What a node presents to a registry. */
export interface NodeCredentials {
  readonly username: string;
  readonly password: string;
}

interface UpdateStatus {
  readonly State: string;
  readonly StartedAt: string;
  readonly CompletedAt?: string;
  readonly Message: string;
}

export interface ServiceRecord {
  readonly id: string;
  version: number;
  readonly createdMs: number;
  updatedMs: number;
  spec: ServiceSpec;
  previousSpec: ServiceSpec | undefined;
  credentials: NodeCredentials | undefined;
  previousCredentials: NodeCredentials | undefined;
  status: UpdateStatus | undefined;
  rollout: Rollout | undefined;
}

/** An update or rollback that is under way. `tasks`: ids of the tasks that it created. */
interface Rollout {
  readonly kind: "update" | "rollback";
  readonly beginMs: number;
  dueMs: number | undefined;
  readonly tasks: string[];
}

export type TaskState =
  | "new"
  | "pending"
  | "preparing"
  | "starting"
  | "running"
  | "complete"
  | "failed"
  | "rejected"
  | "shutdown";

export interface TaskRecord {
  readonly id: string;
  version: number;
  readonly serviceId: string;
  /** 0 for the one task of a global service. */
  readonly slot: number;
  readonly template: TaskTemplate;
  readonly createdMs: number;
  state: TaskState;
  stateMs: number;
  desired: "ready" | "running" | "shutdown" | "remove";
  error: string | undefined;
  exitCode: number;
  /** When it came to run. */
  ranMs: number | undefined;
  /** When its next step is due; absent: it stays as it is. */
  dueMs: number | undefined;
  /** What its image does: exits with a code so long after the start, or runs for ever. */
  exit: { readonly code: number; readonly afterMs: number } | undefined;
  /** Its image never comes to run. */
  neverRuns?: NeverRuns | undefined;
}

/** As `GET /events` gives them. */
export interface SwarmEvent {
  readonly Type: "service";
  readonly Action: "create" | "update" | "remove";
  readonly scope: "swarm";
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
  readonly time: number;
}

/** Everything a small swarm knows: plain JSON. */
export interface SwarmState {
  /** The cluster-wide log index: every version comes from it, so it jumps. */
  index: number;
  readonly services: ServiceRecord[];
  tasks: TaskRecord[];
  /** The last 1000, oldest first. */
  readonly events: SwarmEvent[];
}

const keptEvents = 1000;

export const nodeId = "0rsgs1ddk95pa8eumwkvxt7xa";
export const nodePlatform = { OS: "linux", Architecture: "x86_64" } as const;

export function emptyState(): SwarmState {
  return { index: 10, services: [], tasks: [], events: [] };
}

/** The next log index. */
export function bump(state: SwarmState): number {
  state.index += 1;
  return state.index;
}

/** 25 of a-z0-9, as the engine's ids look. */
export function newId(state: SwarmState, kind: string): string {
  const hash = createHash("sha256")
    .update(`${kind} ${bump(state)}`)
    .digest("hex");
  return BigInt(`0x${hash}`).toString(36).slice(-25);
}

export function record(
  state: SwarmState,
  service: ServiceRecord,
  action: SwarmEvent["Action"],
  nowMs: number,
  attributes: Readonly<Record<string, string>> = {},
): void {
  const actor = { ID: service.id, Attributes: { name: service.spec.Name, ...attributes } };
  state.events.push({
    Type: "service",
    Action: action,
    scope: "swarm",
    Actor: actor,
    time: Math.floor(nowMs / 1000),
  });
  if (state.events.length > keptEvents) state.events.shift();
}

/** Tasks of a service by slot, the oldest of a slot first. */
export function slotsOf(state: SwarmState, service: ServiceRecord): Map<number, TaskRecord[]> {
  const slots = new Map<number, TaskRecord[]>();
  for (const task of state.tasks) {
    if (task.serviceId !== service.id || task.desired === "remove") continue;
    const slot = slots.get(task.slot);
    if (slot === undefined) slots.set(task.slot, [task]);
    else slot.push(task);
  }
  return slots;
}

/** How many tasks a service wants; a global service wants one on the only node. */
export function wantedSlots(spec: ServiceSpec): readonly number[] {
  if (spec.Mode?.Global !== undefined) return [0];
  return Array.from({ length: spec.Mode?.Replicated?.Replicas ?? 1 }, (_, index) => index + 1);
}

/** Whether the service's spec asks for another task than this one. */
export function isDirty(service: ServiceRecord, task: TaskRecord | undefined): boolean {
  return task === undefined || !isDeepStrictEqual(task.template, service.spec.TaskTemplate);
}

/** Whether the only node can run a task, as far as its placement names platforms. */
export function suits(task: TaskRecord): boolean {
  const platforms = task.template.Placement?.Platforms ?? [];
  const names: readonly (string | undefined)[] = ["amd64", nodePlatform.Architecture, "", undefined];
  return (
    platforms.length === 0 ||
    platforms.some(
      ({ OS, Architecture }) => (OS ?? "linux") === nodePlatform.OS && names.includes(Architecture),
    )
  );
}

/** What is due first; `undefined`: nothing is. */
export function earliest<T extends { readonly dueMs: number | undefined }>(all: readonly T[]): T | undefined {
  let first: T | undefined;
  for (const each of all) {
    if (each.dueMs !== undefined && each.dueMs < (first?.dueMs ?? Infinity)) first = each;
  }
  return first;
}
