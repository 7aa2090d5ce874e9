import type * as z from "zod/mini";
import { isTargetTrouble } from "../../errors.ts";
import type { KubernetesClient, Query } from "./client.ts";
import type { Kind } from "./kinds.ts";
import { currentRevision, ownedBy, printSelector, revisionLists } from "./revisions.ts";
import { EventWire, PodWire, RevisionWire, type WorkloadWire } from "./schema.ts";
import { podsToAsk, type Stand } from "./tasks.ts";

/** Pods that are asked for events at one look: the others fail for the same reason, most likely. */
const maxAsked = 3;

/** A workload's pods and its current revision; a CronJob's pods are its Jobs' business. */
export async function readStand(client: KubernetesClient, kind: Kind, wire: WorkloadWire): Promise<Stand> {
  const { namespace, uid } = wire.metadata;
  const { selector } = wire.spec;
  if (kind === "cronjob" || selector === undefined || selector === null) {
    return { kind, wire, pods: [], revision: undefined };
  }
  const query = { labelSelector: printSelector(selector) };
  const revisionList = revisionLists[kind];
  const [pods, revisions] = await Promise.all([
    rowsOf(client, PodWire, `/api/v1/namespaces/${namespace}/pods`, query),
    revisionList === undefined
      ? []
      : rowsOf(client, RevisionWire, `/apis/apps/v1/namespaces/${namespace}/${revisionList}`, query),
  ]);
  const own = revisions.filter((each) => ownedBy(uid, each));
  // A Deployment's pods are its ReplicaSets'.
  const owners = kind === "deployment" ? own.map(({ metadata }) => metadata.uid) : [uid];
  return {
    kind,
    wire,
    pods: pods.filter((pod) => owners.some((owner) => ownedBy(owner, pod))),
    revision: currentRevision(kind, wire, own),
  };
}

/**
 * What the cluster noted about pods that say too little themselves, by pod uid; and by the workload's own uid, where
 * pods are missing altogether. Nothing depends on it, so that a failure is no event.
 */
export async function readEvents(
  client: KubernetesClient,
  stand: Stand,
  wantedTasks: number,
): Promise<ReadonlyMap<string, readonly EventWire[]>> {
  const { namespace, uid } = stand.wire.metadata;
  const asked = podsToAsk(stand)
    .slice(0, maxAsked)
    .map(({ metadata }) => metadata.uid);
  // A Deployment says it in a condition.
  const isShort = stand.kind !== "deployment" && stand.pods.length < wantedTasks;
  const found = [...asked, ...(isShort ? [uid] : [])].map(async (each) => {
    const query = { fieldSelector: `involvedObject.uid=${each},type=Warning` };
    const events = await rowsOf(client, EventWire, `/api/v1/namespaces/${namespace}/events`, query).catch(
      (error: unknown) => {
        if (isTargetTrouble(error)) return [];
        throw error;
      },
    );
    return [each, events] as const;
  });
  return new Map(await Promise.all(found));
}

/** A list's items, as far as they can be read: one that cannot stops no other one. */
async function rowsOf<T extends z.ZodMiniType>(
  client: KubernetesClient,
  row: T,
  path: string,
  query: Query,
): Promise<readonly z.infer<T>[]> {
  const found = await client.list(path, query, (item) => row.safeParse(item).data);
  return found.kind === "found" ? found.value : [];
}
