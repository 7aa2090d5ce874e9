import type { Json, KubernetesApi, Stored } from "./kubernetes-api.ts";

/** What an image does when a pod runs it. */
export type ImageBehaviour =
  | "runs"
  /** At once, again and again. */
  | "exits"
  /** 8 s after each start. */
  | "exits-late"
  /** It runs, and its readiness probe never passes. */
  | "never-ready"
  | "no-such-program"
  /** Nodes are refused by its registry. */
  | "gone";

interface Deployment extends Stored {
  spec: {
    readonly replicas: number;
    readonly minReadySeconds?: number;
    readonly progressDeadlineSeconds?: number;
    readonly selector: { readonly matchLabels: Json };
    readonly template: { readonly metadata: { readonly labels: Json }; readonly spec: PodSpec };
  };
  status?: Json;
}

interface PodSpec {
  readonly containers: readonly { readonly name: string; readonly image: string }[];
}

interface Pod extends Stored {
  spec: PodSpec;
  status?: Json & { readonly steps?: number };
}

const revisionKey = "deployment.kubernetes.io/revision";
const stepMs = 1_000;
/** Steps that a deleted pod is still there. */
const graceSteps = 4;
const lateSteps = 8;
const defaultDeadlineSeconds = 10;

/**
 * Brings Deployments about on a double's objects, one step at a time: the next second of its clock. New pods come all
 * at once, old ones go when the new are ready.
 */
export function deploymentController(
  api: KubernetesApi,
  behaviourOf: (image: string) => ImageBehaviour,
): { step(): void } {
  let named = 0;

  function reconcile(path: string, found: Deployment): void {
    const { spec, metadata } = found;
    const base = path.slice(0, path.indexOf("/deployments/"));
    const core = base.replace("/apis/apps/v1", "/api/v1");
    const hash = hashOf(JSON.stringify(spec.template));
    const owned = (collection: string, uid: string) =>
      api.all(collection).filter(([, { metadata: each }]) => ownerOf(each) === uid);
    const sets = owned("/apis/apps/v1/replicasets", metadata.uid);
    const current = sets.find(([, set]) => hashIn(set) === hash);
    const newest = Math.max(0, ...sets.map(([, set]) => revisionOf(set)));
    // One that goes back to an earlier template takes its ReplicaSet again, under a new number.
    const isNew = current === undefined || revisionOf(current[1]) !== newest;
    const revision = newest + (isNew ? 1 : 0);
    const labels = { ...spec.template.metadata.labels, "pod-template-hash": hash };
    const setPath = current?.[0] ?? `${base}/replicasets/${metadata.name}-${hash}`;
    const own = isNew ? api.put(setPath, revisionOwnedBy(found, labels, revision)) : current[1];

    const uids = new Set([...sets.map(([, set]) => set.metadata.uid), own.metadata.uid]);
    const pods = [...uids].flatMap((uid) => owned("/api/v1/pods", uid));
    const live = pods.filter(([, pod]) => pod.metadata.deletionTimestamp === undefined);
    const young = live.filter(([, pod]) => hashIn(pod) === hash);
    for (let count = young.length; count < spec.replicas; count++) {
      const name = `${metadata.name}-${hash}-${++named}`;
      api.put(`${core}/pods/${name}`, {
        metadata: { labels, ownerReferences: [owner("ReplicaSet", own)] },
        spec: spec.template.spec,
        status: { phase: "Pending" },
      });
    }
    for (const [at, pod] of pods) age(at, pod as Pod);

    const seen = young.map(([at]) => api.find(at) as Pod);
    const ready = seen.filter(isReady);
    const available = ready.filter((pod) => (pod.status?.steps ?? 0) > (spec.minReadySeconds ?? 0));
    const old = live.filter(([, pod]) => hashIn(pod) !== hash);
    if (available.length >= spec.replicas) for (const [at, pod] of old) remove(at, pod);
    const isDone = available.length >= spec.replicas && old.length === 0;
    const waited = isDone || isNew ? 0 : ((found.status?.waited as number | undefined) ?? 0) + 1;
    const isLate = waited > (spec.progressDeadlineSeconds ?? defaultDeadlineSeconds);
    const late = {
      type: "Progressing",
      status: "False",
      reason: "ProgressDeadlineExceeded",
      message: `ReplicaSet "${own.metadata.name}" has timed out progressing.`,
    };
    api.put(path, {
      ...found,
      metadata: { ...metadata, annotations: { ...annotationsOf(found), [revisionKey]: String(revision) } },
      status: {
        observedGeneration: metadata.generation,
        waited,
        ...nonZero("replicas", seen.length + old.length),
        ...nonZero("updatedReplicas", seen.length),
        ...nonZero("readyReplicas", ready.length),
        ...nonZero("availableReplicas", available.length),
        conditions: [{ type: "Available", status: "True" }, ...(isLate ? [late] : [])],
      },
    });
  }

  function revisionOwnedBy(deployment: Deployment, labels: Json, revision: number): Json {
    return {
      metadata: {
        labels,
        annotations: { [revisionKey]: String(revision) },
        ownerReferences: [owner("Deployment", deployment)],
      },
    };
  }

  /** One second in a pod's life. */
  function age(path: string, pod: Pod): void {
    const steps = (pod.status?.steps ?? 0) + 1;
    if (pod.metadata.deletionTimestamp !== undefined) {
      const left = (pod.metadata.left as number | undefined) ?? graceSteps;
      if (left === 0) api.remove(path);
      else api.put(path, { ...pod, metadata: { ...pod.metadata, left: left - 1 } });
      return;
    }
    const containerStatuses = pod.spec.containers.map((container) => ({
      name: container.name,
      ...containerStatus(container.image, steps),
    }));
    const ready = containerStatuses.every((each) => each.ready);
    const conditions = [{ type: "Ready", status: ready ? "True" : "False" }];
    api.put(path, { ...pod, status: { phase: "Running", steps, containerStatuses, conditions } });
  }

  function containerStatus(image: string, steps: number): Json & { readonly ready: boolean } {
    switch (behaviourOf(image)) {
      case "runs":
        return { ready: true, restartCount: 0, state: { running: {} }, imageID: "" };
      case "exits": {
        const terminated = { exitCode: 3, reason: "Error" };
        const turns = [{ terminated }, { waiting: { reason: "CrashLoopBackOff" } }, { running: {} }];
        return {
          ready: false,
          restartCount: Math.floor(steps / 3),
          state: turns[steps % 3],
          lastState: { terminated },
        };
      }
      case "exits-late": {
        const restartCount = Math.floor(steps / lateSteps);
        const lastState =
          restartCount === 0 ? {} : { lastState: { terminated: { exitCode: 3, reason: "Error" } } };
        return { ready: true, restartCount, state: { running: {} }, ...lastState };
      }
      case "never-ready":
        return { ready: false, restartCount: 0, state: { running: {} } };
      case "no-such-program": {
        const message = `failed to create containerd task: exec: "no-such-program": executable file not found in $PATH: unknown`;
        const terminated = { exitCode: 128, reason: "StartError", message };
        const turns = [
          { waiting: { reason: "RunContainerError", message } },
          { waiting: { reason: "CrashLoopBackOff" } },
        ];
        return {
          ready: false,
          restartCount: Math.floor(steps / 3),
          state: turns[steps % 2],
          lastState: { terminated },
        };
      }
      case "gone": {
        const cause = `Failed to pull image "${image}": Get https://reg.example/v2/: no basic auth credentials`;
        const turns = [
          { reason: "ErrImagePull", message: cause },
          { reason: "ImagePullBackOff", message: `Back-off pulling image "${image}"` },
        ];
        return { ready: false, restartCount: 0, state: { waiting: turns[steps % 2] }, imageID: "" };
      }
    }
  }

  function remove(path: string, pod: Stored): void {
    const deletionTimestamp = new Date(api.nowMs).toISOString();
    api.put(path, { ...pod, metadata: { ...pod.metadata, deletionTimestamp } });
  }

  return {
    step() {
      api.nowMs += stepMs;
      for (const [path, found] of api.all("/apis/apps/v1/deployments")) reconcile(path, found as Deployment);
    },
  };
}

function isReady({ status }: Pod): boolean {
  const [condition] = (status?.conditions ?? []) as readonly Json[];
  return condition?.status === "True";
}

function owner(kind: string, { metadata }: Stored): Json {
  return { kind, name: metadata.name, uid: metadata.uid, controller: true };
}

function ownerOf(metadata: Stored["metadata"]): unknown {
  return (metadata.ownerReferences as readonly Json[] | undefined)?.[0]?.uid;
}

function annotationsOf({ metadata }: Stored): Json {
  return (metadata.annotations ?? {}) as Json;
}

function revisionOf(set: Stored): number {
  return Number(annotationsOf(set)[revisionKey]);
}

function hashIn({ metadata }: Stored): unknown {
  return (metadata.labels as Json | undefined)?.["pod-template-hash"];
}

function hashOf(text: string): string {
  let hash = 0;
  for (const character of text) hash = (hash * 31 + character.charCodeAt(0)) >>> 0;
  return hash.toString(16);
}

/** The API leaves a counter of zero out. */
function nonZero(name: string, count: number): Json {
  return count === 0 ? {} : { [name]: count };
}
