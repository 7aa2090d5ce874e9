import type { Standing } from "../../domain/workload.ts";
import type { Look } from "../target.ts";
import { brief } from "./answers.ts";
import type { Kind } from "./kinds.ts";
import { partitionOf } from "./map.ts";
import type { Revision } from "./revisions.ts";
import type { WorkloadWire } from "./schema.ts";

/** What a workload's own object says about the change that it took last. */
export type Progress = Pick<Look, "update" | "message" | "wantedTasks" | "unproven">;

/** The state of an update as `kubectl rollout status` computes it. */
export function progressOf(kind: Kind, wire: WorkloadWire, revision: Revision | undefined): Progress {
  switch (kind) {
    case "deployment":
      return deployment(wire, revision);
    case "statefulset":
      return statefulSet(wire);
    case "daemonset":
      return daemonSet(wire);
    case "cronjob": {
      const never = wire.spec.suspend === true ? "; it is suspended" : "";
      return { update: "none", wantedTasks: 0, unproven: `takes effect at the next run${never}` };
    }
    default:
      return kind satisfies never;
  }
}

/** Whether the status is that of the object as it was read: before, it is an earlier update's. */
export function isObserved({ metadata, status }: WorkloadWire): boolean {
  return (status?.observedGeneration ?? 0) >= (metadata.generation ?? 1);
}

function deployment(wire: WorkloadWire, revision: Revision | undefined): Progress {
  const { spec, status } = wire;
  const wantedTasks = spec.replicas ?? 1;
  const updated = status?.updatedReplicas ?? 0;
  const isDone =
    isObserved(wire) &&
    updated >= wantedTasks &&
    (status?.replicas ?? 0) <= updated &&
    (status?.availableReplicas ?? 0) >= updated;
  if (spec.paused === true && !isDone) {
    return {
      update: "paused",
      message: "the Deployment is paused: it takes a change and replaces nothing",
      wantedTasks,
    };
  }
  if (!isObserved(wire)) return { update: "updating", wantedTasks };
  const conditions = status?.conditions ?? [];
  const late = conditions.find(
    ({ reason, message }) => reason === "ProgressDeadlineExceeded" && !isOfAnother(message ?? "", revision),
  );
  // With no pod to ask, only this tells of a quota or a webhook that refuses the pods.
  const refused = conditions.find(({ type, status: is }) => type === "ReplicaFailure" && is === "True");
  const said = [late, refused].flatMap((condition) => condition?.message?.replace(/\.$/, "") ?? []);
  const message = said.length === 0 ? {} : { message: brief(said.join("; ")) };
  if (late !== undefined) return { update: "paused", ...message, wantedTasks };
  return isDone ? { update: "completed", wantedTasks } : { update: "updating", ...message, wantedTasks };
}

/**
 * A change back to an earlier template uses that one's ReplicaSet again, and the condition stays as the failed one left
 * it until the old pods are gone. Its words name the ReplicaSet that was late.
 */
function isOfAnother(message: string, revision: Revision | undefined): boolean {
  const [, late] = /^ReplicaSet "([^"]+)"/.exec(message) ?? [];
  return late !== undefined && revision !== undefined && !late.endsWith(`-${revision.value}`);
}

function statefulSet(wire: WorkloadWire): Progress {
  const { spec, status } = wire;
  const replicas = spec.replicas ?? 1;
  const wantedTasks = Math.max(0, replicas - partitionOf(spec));
  const updated = status?.updatedReplicas ?? 0;
  if (spec.updateStrategy?.type === "OnDelete" && !(isObserved(wire) && updated >= replicas)) return onDelete;
  if (!isObserved(wire)) return { update: "updating", wantedTasks };
  const isReady = (status?.readyReplicas ?? 0) >= replicas;
  const isRolled =
    (spec.updateStrategy?.rollingUpdate ?? undefined) !== undefined
      ? updated >= wantedTasks
      : status?.updateRevision === status?.currentRevision;
  const partition =
    wantedTasks === 0 && replicas > 0
      ? { unproven: `partition ${partitionOf(spec)} keeps every pod as it is` }
      : {};
  return { update: isReady && isRolled ? "completed" : "updating", wantedTasks, ...partition };
}

function daemonSet(wire: WorkloadWire): Progress {
  const { spec, status } = wire;
  const desired = status?.desiredNumberScheduled ?? 0;
  const updated = status?.updatedNumberScheduled ?? 0;
  if (spec.updateStrategy?.type === "OnDelete" && !(isObserved(wire) && updated >= desired)) return onDelete;
  // Of one that nobody has looked at yet, the number of nodes is not known.
  if (!isObserved(wire)) return { update: "updating", wantedTasks: Math.max(1, desired) };
  const isDone = updated >= desired && (status?.numberAvailable ?? 0) >= desired;
  return { update: isDone ? "completed" : "updating", wantedTasks: desired };
}

const onDelete: Progress = {
  update: "none",
  wantedTasks: 0,
  unproven: "updated, waits for somebody to delete its pods (OnDelete)",
};

/** What a workload's own object says of its pods, however long ago it was changed; of a CronJob's it says nothing. */
export function standingOf(kind: Kind, wire: WorkloadWire): Standing | undefined {
  if (kind === "cronjob") return undefined;
  const { spec, status } = wire;
  const isOfNodes = kind === "daemonset";
  const wanted = (isOfNodes ? status?.desiredNumberScheduled : (spec.replicas ?? 1)) ?? 0;
  const running = isOfNodes
    ? status?.numberAvailable
    : kind === "deployment"
      ? status?.availableReplicas
      : status?.readyReplicas;
  const all = isOfNodes ? wanted : (status?.replicas ?? 0);
  const updated = (isOfNodes ? status?.updatedNumberScheduled : status?.updatedReplicas) ?? 0;
  // One that is whole counts its pods as updated or not, from version to version.
  const isWhole = kind === "statefulset" && status?.currentRevision === status?.updateRevision;
  const behind = isWhole ? 0 : all - updated;
  return {
    wanted,
    running: running ?? 0,
    ...(behind > 0 ? { outdated: `${behind} of ${all} pods are of an earlier version of it` } : {}),
    ...(isObserved(wire) ? {} : { unobserved: true }),
  };
}
