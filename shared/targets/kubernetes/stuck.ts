import type { Clock } from "../../clock.ts";
import { isTargetTrouble } from "../../errors.ts";
import { HttpError } from "../../http.ts";
import type { KubernetesClient } from "./client.ts";
import type { Kind } from "./kinds.ts";
import { isObserved } from "./progress.ts";
import { WorkloadWire } from "./schema.ts";
import { readStand } from "./standing.ts";
import { type Stand, stuckPods } from "./tasks.ts";
import { isBroken } from "./trouble.ts";

/*
 * A StatefulSet with `OrderedReady`, the default, waits for a broken pod to become ready before it replaces it, so
 * that a repaired template alone repairs nothing (https://github.com/kubernetes/kubernetes/issues/67250). The way
 * out is to delete the pod.
 */

const maxPolls = 10;
const pollMs = 200;

/** What a person has to do where we were not allowed to; `undefined`: nothing is stuck. */
export function stuckMessage(stand: Stand, nowMs: number): string | undefined {
  const names = stuckPods(stand, nowMs).map(({ metadata }) => metadata.name);
  if (names.length === 0) return undefined;
  return `the StatefulSet waits for its earlier revision's ${names.join(", ")}, which will not become ready: delete it`;
}

/**
 * Deletes the broken pods that a StatefulSet's new template cannot replace, once the controller has seen it: earlier,
 * they would come back as they were. The right to is optional, so that no failure here is one of the change.
 */
export async function freeStuckPods(
  client: KubernetesClient,
  kind: Kind,
  patched: WorkloadWire,
  path: string,
  clock: Clock,
): Promise<void> {
  if (kind !== "statefulset") return;
  try {
    const before = await readStand(client, kind, patched);
    if (!before.pods.some((pod) => isBroken(pod, clock.now()))) return;
    const observed = await untilObserved(client, path, clock);
    if (observed === undefined) return;
    for (const pod of stuckPods(await readStand(client, kind, observed), clock.now())) {
      const { namespace, name, uid } = pod.metadata;
      await client.write("DELETE", `/api/v1/namespaces/${namespace}/pods/${name}`, {
        contentType: "application/json",
        body: JSON.stringify({ preconditions: { uid } }),
      });
    }
  } catch (error) {
    if (!isTargetTrouble(error) && !(error instanceof HttpError)) throw error;
  }
}

async function untilObserved(
  client: KubernetesClient,
  path: string,
  clock: Clock,
): Promise<WorkloadWire | undefined> {
  for (let polls = 0; polls < maxPolls; polls++) {
    const found = await client.get(path);
    const wire = found.kind === "found" ? WorkloadWire.safeParse(found.value) : undefined;
    if (wire?.success !== true) return undefined;
    if (isObserved(wire.data)) return wire.data;
    await clock.sleep(pollMs);
  }
  return undefined;
}
