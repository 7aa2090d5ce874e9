import type { Kind } from "./kinds.ts";
import type { PodWire, RevisionWire, SelectorWire, WorkloadWire } from "./schema.ts";

const deploymentRevision = "deployment.kubernetes.io/revision";
const templateHash = "pod-template-hash";
const revisionHash = "controller-revision-hash";

/** What pods of a workload's current revision have and others do not. */
export interface Revision {
  readonly label: string;
  readonly value: string;
}

/** Where the objects that tell of a workload's revisions are listed, after `/apis/apps/v1/namespaces/…/`. */
export const revisionLists: Readonly<Record<Kind, string | undefined>> = {
  deployment: "replicasets",
  daemonset: "controllerrevisions",
  // Its status names it.
  statefulset: undefined,
  cronjob: undefined,
};

/** Those that the workload itself made: labels may overlap with another's. */
export function ownedBy(owner: string, each: { readonly metadata: WorkloadWire["metadata"] }): boolean {
  return (each.metadata.ownerReferences ?? []).some(
    ({ uid, controller }) => uid === owner && controller === true,
  );
}

/** The revision that the controller is bringing about; `undefined` where it has not said yet. */
export function currentRevision(
  kind: Kind,
  wire: WorkloadWire,
  revisions: readonly RevisionWire[],
): Revision | undefined {
  switch (kind) {
    case "deployment": {
      // Its own number follows the ReplicaSets' a moment later, when its status may already be the new one's.
      const newest = newestOf(revisions, ({ metadata }) =>
        Number(metadata.annotations?.[deploymentRevision]),
      );
      const value = newest?.metadata.labels?.[templateHash];
      return value === undefined ? undefined : { label: templateHash, value };
    }
    case "statefulset": {
      const value = wire.status?.updateRevision ?? undefined;
      return value === undefined ? undefined : { label: revisionHash, value };
    }
    case "daemonset": {
      const newest = newestOf(revisions, ({ revision }) => revision ?? 0);
      // Pods carry the bare hash, which is the end of the revision's name.
      const value = newest?.metadata.labels?.[revisionHash] ?? newest?.metadata.name.split("-").at(-1);
      return value === undefined ? undefined : { label: revisionHash, value };
    }
    case "cronjob":
      return undefined;
    default:
      return kind satisfies never;
  }
}

export function isOfRevision(pod: PodWire, { label, value }: Revision): boolean {
  return pod.metadata.labels?.[label] === value;
}

function newestOf(
  revisions: readonly RevisionWire[],
  numberOf: (revision: RevisionWire) => number,
): RevisionWire | undefined {
  return revisions
    .filter((each) => !Number.isNaN(numberOf(each)))
    .toSorted((one, other) => numberOf(one) - numberOf(other))
    .at(-1);
}

/** A selector as the query parameter `labelSelector`. */
export function printSelector({ matchLabels, matchExpressions }: SelectorWire): string {
  const equal = Object.entries(matchLabels ?? {}).map(([key, value]) => `${key}=${value}`);
  const others = (matchExpressions ?? []).map(({ key, operator, values }) => {
    switch (operator) {
      case "In":
        return `${key} in (${(values ?? []).join(",")})`;
      case "NotIn":
        return `${key} notin (${(values ?? []).join(",")})`;
      case "DoesNotExist":
        return `!${key}`;
      default:
        return key;
    }
  });
  return [...equal, ...others].join(",");
}
