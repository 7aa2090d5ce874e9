import type { TaskLook } from "../target.ts";
import { brief } from "./answers.ts";
import { newestWords } from "./events.ts";
import type { Kind } from "./kinds.ts";
import { partitionOf, templateOf } from "./map.ts";
import { isOfRevision, type Revision } from "./revisions.ts";
import type { EventWire, PodWire, TemplateWire, WorkloadWire } from "./schema.ts";
import {
  endedIn,
  isBroken,
  isPullEnvironment,
  isReady,
  restartsOf,
  type Trouble,
  troubleOf,
} from "./trouble.ts";

/** A workload with its pods, as they were read. */
export interface Stand {
  readonly kind: Kind;
  readonly wire: WorkloadWire;
  readonly pods: readonly PodWire[];
  readonly revision: Revision | undefined;
}

/** A pod whose events may tell more, those first whose blame depends on it. */
export function podsToAsk({ pods, ...stand }: Stand): readonly PodWire[] {
  const asks = pods
    .filter((pod) => isCurrent(pod, stand) && !isTerminating(pod))
    .map((pod) => ({ pod, ask: troubleOf(pod)?.ask }))
    .filter(({ ask }) => ask !== undefined);
  return [...asks.filter(({ ask }) => ask === "pull"), ...asks.filter(({ ask }) => ask === "more")].map(
    ({ pod }) => pod,
  );
}

/**
 * The pods as tasks. Those of earlier revisions count as long as they run, by the images that they run; their own
 * troubles are of no interest any more, and neither are those of pods that are being deleted.
 * @param events by pod uid
 */
export function tasksOf(
  stand: Stand,
  events: ReadonlyMap<string, readonly EventWire[]>,
): readonly TaskLook[] {
  const template = templateOf(stand.wire)?.spec;
  const wanted = template === undefined ? {} : imagesOf(template);
  const current = stand.pods.filter((pod) => isCurrent(pod, stand) && !isTerminating(pod));
  const troubles = new Map(
    current.map((pod) => {
      const trouble = troubleOf(pod);
      return [pod, trouble && explained(trouble, events.get(pod.metadata.uid) ?? [])];
    }),
  );
  const pulls = [...troubles.values()].flatMap((trouble) =>
    trouble?.image === undefined || trouble.ask !== undefined ? [] : [trouble],
  );
  return stand.pods.flatMap((pod): TaskLook[] => {
    if (isTerminating(pod)) return [{ ...plainTask(stand.kind, pod), desired: false, restarts: 0 }];
    if (!isCurrent(pod, stand)) {
      const isSame = Object.entries(imagesOf(pod.spec)).every(([name, image]) => wanted[name] === image);
      // By its images it would pass for a current one: that it is there at all, the workload's counters tell.
      const isOutside = isSame || isFinished(pod) || isBelowPartition(pod, stand);
      return isOutside ? [] : [plainTask(stand.kind, pod)];
    }
    const own = troubles.get(pod);
    const trouble = own?.ask === "pull" ? (pulls.find(({ image }) => image === own.image) ?? own) : own;
    const ended = endedIn(pod);
    const again = ended === undefined ? {} : { ended };
    return [{ ...plainTask(stand.kind, pod), desired: !isFinished(pod), ...again, ...wordsOf(trouble) }];
  });
}

/** Pods of a StatefulSet's earlier revision that never become ready: with `OrderedReady` it waits for them for ever. */
export function stuckPods({ pods, ...stand }: Stand, nowMs: number): readonly PodWire[] {
  const { kind, wire } = stand;
  if (kind !== "statefulset" || wire.spec.podManagementPolicy === "Parallel") return [];
  if (wire.spec.updateStrategy?.type === "OnDelete") return [];
  return pods.filter(
    (pod) =>
      !isCurrent(pod, stand) && !isTerminating(pod) && !isBelowPartition(pod, stand) && isBroken(pod, nowMs),
  );
}

function plainTask(kind: Kind, pod: PodWire): TaskLook {
  const { metadata, spec } = pod;
  const created = Date.parse(metadata.creationTimestamp ?? "");
  return {
    id: metadata.uid,
    slot: kind === "daemonset" ? (spec.nodeName ?? metadata.uid) : metadata.name,
    desired: true,
    images: imagesOf(spec),
    state: isReady(pod) ? "running" : "starting",
    restarts: restartsOf(pod),
    createdMs: Number.isNaN(created) ? 0 : created,
  };
}

function imagesOf({ containers, initContainers }: TemplateWire["spec"]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    [...containers, ...(initContainers ?? [])].map(({ name, image }) => [name, image ?? ""]),
  );
}

function wordsOf(trouble: Trouble | undefined): Partial<TaskLook> {
  if (trouble === undefined) return {};
  return {
    state: trouble.isFailed ? "failed" : "starting",
    error: trouble.error,
    ...(trouble.isEnvironment ? { environment: true } : {}),
    ...(trouble.container === undefined ? {} : { container: trouble.container }),
  };
}

/** What events add, the newest one that fits. */
function explained(trouble: Trouble, events: readonly EventWire[]): Trouble {
  const { ask, ...rest } = trouble;
  switch (ask) {
    case undefined:
      return trouble;
    case "more": {
      const words = newestWords(events, () => true);
      return words === undefined ? trouble : { ...rest, error: `${trouble.error}: ${brief(words)}` };
    }
    case "pull": {
      const words = newestWords(events, ({ message }) => /failed to pull/i.test(message ?? ""));
      if (words === undefined) return trouble;
      const isEnvironment = isPullEnvironment(words, trouble.image ?? "");
      return { ...rest, error: `${trouble.container}: ${brief(words)}`, isEnvironment };
    }
    default:
      return ask satisfies never;
  }
}

function isCurrent(pod: PodWire, { revision }: Pick<Stand, "revision">): boolean {
  return revision === undefined || isOfRevision(pod, revision);
}

function isTerminating({ metadata }: PodWire): boolean {
  return (metadata.deletionTimestamp ?? undefined) !== undefined;
}

/** An evicted pod stays as a record, beside the one that took its place. */
function isFinished({ status }: PodWire): boolean {
  return status?.phase === "Failed" || status?.phase === "Succeeded";
}

function isBelowPartition(pod: PodWire, { kind, wire }: Pick<Stand, "kind" | "wire">): boolean {
  const ordinal = Number(/-(\d+)$/.exec(pod.metadata.name)?.[1] ?? Number.NaN);
  return kind === "statefulset" && ordinal < partitionOf(wire.spec);
}
