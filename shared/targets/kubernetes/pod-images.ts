import { type Digest, isDigest } from "../../domain/reference.ts";
import type { ReportedDigests } from "../target.ts";
import type { KubernetesClient } from "./client.ts";
import { printPlace } from "./kinds.ts";
import { isInScope, scopesOf } from "./namespaces.ts";
import { type ContainerStatus, PodWire } from "./schema.ts";

/** What pods of every workload in scope report to run, by workload and container; pods that are about to go do not count. */
export async function reportedDigests(
  client: KubernetesClient,
  namespaces: readonly string[],
): Promise<ReadonlyMap<string, ReportedDigests>> {
  const found = new Map<string, Record<string, (Digest | undefined)[]>>();
  const scopes = scopesOf(namespaces).map((namespace) => {
    const within = namespace === undefined ? "" : `/namespaces/${namespace}`;
    return client.list(`/api/v1${within}/pods`, {}, (item) => {
      const pod = PodWire.safeParse(item).data;
      const owner = pod === undefined ? undefined : ownerOf(pod);
      if (pod === undefined || owner === undefined || !isInScope(namespaces, pod.metadata.namespace)) return;
      const digests = found.get(owner) ?? {};
      found.set(owner, digests);
      const { containerStatuses, initContainerStatuses } = pod.status ?? {};
      for (const status of [...(containerStatuses ?? []), ...(initContainerStatuses ?? [])]) {
        const reported = digests[status.name] ?? [];
        digests[status.name] = reported;
        reported.push(digestIn(status));
      }
      return undefined;
    });
  });
  await Promise.all(scopes);
  return found;
}

/** The workload that a pod belongs to, e.g. `shop/deployment/web`; a Job's pods belong to no running one. */
function ownerOf({ metadata, status }: PodWire): string | undefined {
  const { namespace, labels, ownerReferences, deletionTimestamp } = metadata;
  const owner = ownerReferences?.find(({ controller }) => controller === true);
  const isOver = status?.phase === "Succeeded" || status?.phase === "Failed";
  if (owner === undefined || isOver || (deletionTimestamp ?? undefined) !== undefined) return undefined;
  switch (owner.kind) {
    case "StatefulSet":
      return printPlace({ namespace, kind: "statefulset", name: owner.name });
    case "DaemonSet":
      return printPlace({ namespace, kind: "daemonset", name: owner.name });
    case "ReplicaSet": {
      // A Deployment names its ReplicaSets after itself and their template's hash, which their pods carry.
      const hash = `-${labels?.["pod-template-hash"]}`;
      if (!owner.name.endsWith(hash)) return undefined;
      return printPlace({ namespace, kind: "deployment", name: owner.name.slice(0, -hash.length) });
    }
    default:
      return undefined;
  }
}

/** `docker-pullable://repository@sha256:…` and the like; a bare `sha256:…` is the id of a configuration, which compares to nothing. */
function digestIn({ imageID }: ContainerStatus): Digest | undefined {
  const digest = (imageID ?? "").split("@")[1];
  return isDigest(digest) ? digest : undefined;
}
