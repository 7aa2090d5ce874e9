import * as z from "zod/mini";

/*
 * The parts of the API's objects that are used (https://kubernetes.io/docs/reference/kubernetes-api/). Items of a
 * list carry no kind, and a counter of zero is left out.
 */

const Text = z.nullish(z.string());
const Count = z.nullish(z.number());
const Strings = z.nullish(z.record(z.string(), z.string()));

const Metadata = z.object({
  name: z.string(),
  namespace: z.string(),
  uid: z.string(),
  resourceVersion: z.string(),
  generation: Count,
  creationTimestamp: Text,
  deletionTimestamp: Text,
  labels: Strings,
  annotations: Strings,
  ownerReferences: z.nullish(
    z.array(
      z.object({ kind: z.string(), name: z.string(), uid: z.string(), controller: z.nullish(z.boolean()) }),
    ),
  ),
});

const ContainerWire = z.object({ name: z.string(), image: Text, restartPolicy: Text });
const PodSpec = z.object({
  containers: z.array(ContainerWire),
  initContainers: z.nullish(z.array(ContainerWire)),
});

const TemplateWire = z.object({
  metadata: z.nullish(z.object({ labels: Strings, annotations: Strings })),
  spec: PodSpec,
});
export type TemplateWire = z.infer<typeof TemplateWire>;

const Condition = z.object({
  type: z.string(),
  status: Text,
  reason: Text,
  message: Text,
  lastTransitionTime: Text,
});

const Selector = z.object({
  matchLabels: Strings,
  matchExpressions: z.nullish(
    z.array(z.object({ key: z.string(), operator: z.string(), values: z.nullish(z.array(z.string())) })),
  ),
});
export type SelectorWire = z.infer<typeof Selector>;

/** A workload of any kind: each has some of these fields. */
export const WorkloadWire = z.object({
  metadata: Metadata,
  spec: z.object({
    replicas: Count,
    paused: z.nullish(z.boolean()),
    suspend: z.nullish(z.boolean()),
    minReadySeconds: Count,
    podManagementPolicy: Text,
    selector: z.nullish(Selector),
    updateStrategy: z.nullish(
      z.object({ type: Text, rollingUpdate: z.nullish(z.object({ partition: Count })) }),
    ),
    template: z.nullish(TemplateWire),
    jobTemplate: z.nullish(
      z.object({
        metadata: z.nullish(z.object({ labels: Strings, annotations: Strings })),
        spec: z.object({ template: TemplateWire }),
      }),
    ),
  }),
  status: z.nullish(
    z.object({
      observedGeneration: Count,
      replicas: Count,
      updatedReplicas: Count,
      readyReplicas: Count,
      availableReplicas: Count,
      currentRevision: Text,
      updateRevision: Text,
      desiredNumberScheduled: Count,
      updatedNumberScheduled: Count,
      numberAvailable: Count,
      conditions: z.nullish(z.array(Condition)),
    }),
  ),
});
export type WorkloadWire = z.infer<typeof WorkloadWire>;

/** A ReplicaSet or a ControllerRevision: what pods of one version of a workload have in common. */
export const RevisionWire = z.object({ metadata: Metadata, revision: Count });
export type RevisionWire = z.infer<typeof RevisionWire>;

const Terminated = z.object({ exitCode: Count, reason: Text, message: Text });
const ContainerState = z.nullish(
  z.object({
    waiting: z.nullish(z.object({ reason: Text, message: Text })),
    running: z.nullish(z.object({})),
    terminated: z.nullish(Terminated),
  }),
);
const ContainerStatus = z.object({
  name: z.string(),
  imageID: Text,
  ready: z.nullish(z.boolean()),
  restartCount: Count,
  state: ContainerState,
  lastState: ContainerState,
});
export type ContainerStatus = z.infer<typeof ContainerStatus>;

export const PodWire = z.object({
  metadata: Metadata,
  spec: z.object({
    ...PodSpec.shape,
    nodeName: Text,
  }),
  status: z.nullish(
    z.object({
      phase: Text,
      reason: Text,
      message: Text,
      conditions: z.nullish(z.array(Condition)),
      initContainerStatuses: z.nullish(z.array(ContainerStatus)),
      containerStatuses: z.nullish(z.array(ContainerStatus)),
    }),
  ),
});
export type PodWire = z.infer<typeof PodWire>;

/** Best effort, merged by count and gone after an hour: an explanation, never a verdict. */
export const EventWire = z.object({
  reason: Text,
  message: Text,
  lastTimestamp: Text,
  eventTime: Text,
  involvedObject: z.nullish(z.object({ uid: Text })),
});
export type EventWire = z.infer<typeof EventWire>;
