import { describe, expect, it } from "vitest";
import type { Kind } from "../../shared/targets/kubernetes/kinds.ts";
import { toWorkload } from "../../shared/targets/kubernetes/map.ts";
import { progressOf } from "../../shared/targets/kubernetes/progress.ts";
import { currentRevision, printSelector } from "../../shared/targets/kubernetes/revisions.ts";
import { EventWire, PodWire, RevisionWire, WorkloadWire } from "../../shared/targets/kubernetes/schema.ts";
import { podsToAsk, stuckPods, tasksOf } from "../../shared/targets/kubernetes/tasks.ts";
import { isPullEnvironment } from "../../shared/targets/kubernetes/trouble.ts";

const image = "127.0.0.1:5000/acme/web:v2";
const old = "127.0.0.1:5000/acme/web:v1";

const meta = (name: string, more: object = {}) => ({
  name,
  namespace: "shop",
  uid: `uid-${name}`,
  resourceVersion: "589",
  ...more,
});

function workload(spec: object, status: object = {}, metadata: object = {}): WorkloadWire {
  const template = { spec: { containers: [{ name: "web", image }] } };
  return WorkloadWire.parse({
    metadata: meta("web", { generation: 2, ...metadata }),
    spec: { template, ...spec },
    status: { observedGeneration: 2, ...status },
  });
}

describe("the state of an update", () => {
  const late = {
    type: "Progressing",
    status: "False",
    reason: "ProgressDeadlineExceeded",
    message: 'ReplicaSet "pull-64b9ff4c57" has timed out progressing.',
  };
  const refused = {
    type: "ReplicaFailure",
    status: "True",
    reason: "FailedCreate",
    message: 'pods "web-1" is forbidden: exceeded quota',
  };
  const revision = { label: "pod-template-hash", value: "64b9ff4c57" };
  const two = { replicas: 2 };
  const rolling = { replicas: 2, updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: 0 } } };
  const onDelete = { updateStrategy: { type: "OnDelete" } };

  it.each<{ name: string; kind: Kind; spec: object; status: object; expected: object }>([
    {
      name: "a Deployment with fewer new pods than wanted",
      kind: "deployment",
      spec: two,
      status: { updatedReplicas: 1, replicas: 3, availableReplicas: 2 },
      expected: { update: "updating", wantedTasks: 2 },
    },
    {
      name: "a Deployment whose old pods remain",
      kind: "deployment",
      spec: two,
      status: { updatedReplicas: 2, replicas: 3, availableReplicas: 2 },
      expected: { update: "updating", wantedTasks: 2 },
    },
    {
      name: "a Deployment whose new pods are not available",
      kind: "deployment",
      spec: two,
      status: { updatedReplicas: 2, replicas: 2, availableReplicas: 1 },
      expected: { update: "updating", wantedTasks: 2 },
    },
    {
      name: "a Deployment that is done",
      kind: "deployment",
      spec: two,
      status: { updatedReplicas: 2, replicas: 2, availableReplicas: 2 },
      expected: { update: "completed", wantedTasks: 2 },
    },
    {
      name: "a Deployment past its deadline, whatever Available says",
      kind: "deployment",
      spec: two,
      status: {
        updatedReplicas: 1,
        replicas: 2,
        availableReplicas: 1,
        conditions: [{ type: "Available", status: "True" }, late],
      },
      expected: {
        update: "paused",
        wantedTasks: 2,
        message: 'ReplicaSet "pull-64b9ff4c57" has timed out progressing',
      },
    },
    {
      name: "a Deployment past an earlier update's deadline",
      kind: "deployment",
      spec: two,
      status: { observedGeneration: 1, conditions: [late] },
      expected: { update: "updating", wantedTasks: 2 },
    },
    {
      name: "a Deployment that goes back from one that was late",
      kind: "deployment",
      spec: two,
      status: {
        updatedReplicas: 2,
        replicas: 3,
        availableReplicas: 2,
        conditions: [{ ...late, message: 'ReplicaSet "pull-5889449f9c" has timed out progressing.' }],
      },
      expected: { update: "updating", wantedTasks: 2 },
    },
    {
      name: "a late Deployment that names no ReplicaSet",
      kind: "deployment",
      spec: two,
      status: { conditions: [{ ...late, message: 'Deployment "web" has timed out progressing.' }] },
      expected: { update: "paused" },
    },
    {
      name: "a Deployment that may not have its pods",
      kind: "deployment",
      spec: two,
      status: { conditions: [refused] },
      expected: { update: "updating", wantedTasks: 2, message: 'pods "web-1" is forbidden: exceeded quota' },
    },
    {
      name: "a Deployment that may not have its pods, past its deadline",
      kind: "deployment",
      spec: two,
      status: { conditions: [refused, late] },
      expected: {
        update: "paused",
        message: expect.stringMatching(/timed out progressing; pods .*exceeded quota/),
      },
    },
    {
      name: "a Deployment of one replica by default",
      kind: "deployment",
      spec: {},
      status: { updatedReplicas: 1, replicas: 1, availableReplicas: 1 },
      expected: { update: "completed", wantedTasks: 1 },
    },
    {
      name: "a Deployment without replicas",
      kind: "deployment",
      spec: { replicas: 0 },
      status: {},
      expected: { update: "completed", wantedTasks: 0 },
    },
    {
      name: "a paused Deployment",
      kind: "deployment",
      spec: { ...two, paused: true },
      status: { replicas: 2, availableReplicas: 2 },
      expected: { update: "paused", message: expect.stringContaining("is paused") },
    },
    {
      name: "a Deployment that was paused when it was done",
      kind: "deployment",
      spec: { ...two, paused: true },
      status: { updatedReplicas: 2, replicas: 2, availableReplicas: 2 },
      expected: { update: "completed" },
    },
    {
      name: "a StatefulSet whose pods are not all ready",
      kind: "statefulset",
      spec: rolling,
      status: { replicas: 2, readyReplicas: 1, updatedReplicas: 2 },
      expected: { update: "updating", wantedTasks: 2 },
    },
    {
      name: "a StatefulSet under way",
      kind: "statefulset",
      spec: rolling,
      status: { replicas: 2, readyReplicas: 2, updatedReplicas: 1 },
      expected: { update: "updating", wantedTasks: 2 },
    },
    {
      name: "a StatefulSet that is done",
      kind: "statefulset",
      spec: rolling,
      status: {
        replicas: 2,
        readyReplicas: 2,
        updatedReplicas: 2,
        currentRevision: "a",
        updateRevision: "b",
      },
      expected: { update: "completed", wantedTasks: 2 },
    },
    {
      name: "a StatefulSet without defaults whose revisions differ",
      kind: "statefulset",
      spec: two,
      status: { readyReplicas: 2, updatedReplicas: 2, currentRevision: "a", updateRevision: "b" },
      expected: { update: "updating", wantedTasks: 2 },
    },
    {
      name: "a partitioned StatefulSet, for whom the revisions differ for ever",
      kind: "statefulset",
      spec: { ...two, updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: 1 } } },
      status: { readyReplicas: 2, updatedReplicas: 1, currentRevision: "a", updateRevision: "b" },
      expected: { update: "completed", wantedTasks: 1 },
    },
    {
      name: "a StatefulSet whose partition keeps every pod",
      kind: "statefulset",
      spec: { ...two, updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: 3 } } },
      status: { readyReplicas: 2 },
      expected: { update: "completed", wantedTasks: 0, unproven: "partition 3 keeps every pod as it is" },
    },
    {
      name: "a StatefulSet whose pods a person deletes",
      kind: "statefulset",
      spec: { ...two, ...onDelete },
      status: { readyReplicas: 2, updatedReplicas: 1 },
      expected: { wantedTasks: 0, unproven: expect.stringContaining("OnDelete") },
    },
    {
      name: "a StatefulSet whose pods a person has deleted",
      kind: "statefulset",
      spec: { ...two, ...onDelete },
      status: { readyReplicas: 2, updatedReplicas: 2, currentRevision: "b", updateRevision: "b" },
      expected: { update: "completed", wantedTasks: 2 },
    },
    {
      name: "a DaemonSet with old pods",
      kind: "daemonset",
      spec: {},
      status: { desiredNumberScheduled: 3, updatedNumberScheduled: 2, numberAvailable: 3 },
      expected: { update: "updating", wantedTasks: 3 },
    },
    {
      name: "a DaemonSet under way, with its counters left out",
      kind: "daemonset",
      spec: {},
      status: { desiredNumberScheduled: 1, numberUnavailable: 1 },
      expected: { update: "updating", wantedTasks: 1 },
    },
    {
      name: "a DaemonSet that is done",
      kind: "daemonset",
      spec: {},
      status: { desiredNumberScheduled: 1, updatedNumberScheduled: 1, numberAvailable: 1 },
      expected: { update: "completed", wantedTasks: 1 },
    },
    {
      name: "a DaemonSet without a node",
      kind: "daemonset",
      spec: {},
      status: {},
      expected: { update: "completed", wantedTasks: 0 },
    },
    {
      name: "a DaemonSet that nobody has looked at",
      kind: "daemonset",
      spec: {},
      status: { observedGeneration: null },
      expected: { update: "updating", wantedTasks: 1 },
    },
    {
      name: "a DaemonSet whose pods a person deletes",
      kind: "daemonset",
      spec: onDelete,
      status: { desiredNumberScheduled: 1, numberAvailable: 1 },
      expected: { wantedTasks: 0, unproven: expect.stringContaining("OnDelete") },
    },
    {
      name: "a CronJob",
      kind: "cronjob",
      spec: {},
      status: {},
      expected: { update: "none", wantedTasks: 0, unproven: "takes effect at the next run" },
    },
    {
      name: "a suspended CronJob",
      kind: "cronjob",
      spec: { suspend: true },
      status: {},
      expected: { unproven: "takes effect at the next run; it is suspended" },
    },
  ])("is as kubectl has it: $name", ({ kind, spec, status, expected }) => {
    expect(progressOf(kind, workload(spec, status), revision)).toMatchObject(expected);
  });
});

describe("a workload's current revision", () => {
  const revision = (name: string, more: object) =>
    RevisionWire.parse({ ...more, metadata: meta(name, (more as { metadata?: object }).metadata) });
  const set = (name: string, hash: string, number: string) =>
    revision(name, {
      metadata: {
        annotations: { "deployment.kubernetes.io/revision": number },
        labels: { "pod-template-hash": hash },
      },
    });

  it.each<{
    name: string;
    kind: Kind;
    wire: WorkloadWire;
    revisions: readonly RevisionWire[];
    value?: string;
  }>([
    {
      name: "a Deployment's newest ReplicaSet, by number",
      kind: "deployment",
      wire: workload({}, {}, { annotations: { "deployment.kubernetes.io/revision": "9" } }),
      revisions: [
        set("web-1", "56bf994b68", "9"),
        set("web-2", "6b689958c7", "10"),
        revision("web-3", { metadata: {} }),
      ],
      value: "6b689958c7",
    },
    {
      name: "nothing while a Deployment has no ReplicaSet",
      kind: "deployment",
      wire: workload({}),
      revisions: [],
    },
    {
      name: "a StatefulSet's status, in full",
      kind: "statefulset",
      wire: workload({}, { updateRevision: "st-658c5b7b86" }),
      revisions: [],
      value: "st-658c5b7b86",
    },
    {
      name: "a DaemonSet's newest revision, by the bare hash",
      kind: "daemonset",
      wire: workload({}),
      revisions: [revision("ds-7f59d4ffcb", { revision: 2 }), revision("ds-6cb5b9b5cc", { revision: 1 })],
      value: "7f59d4ffcb",
    },
    { name: "nothing of a CronJob's", kind: "cronjob", wire: workload({}), revisions: [] },
  ])("is told by $name", ({ kind, wire, revisions, value }) => {
    expect(currentRevision(kind, wire, revisions)?.value).toBe(value);
  });

  it("is looked for by the whole selector", () => {
    const matchExpressions = [
      { key: "tier", operator: "In", values: ["web", "api"] },
      { key: "track", operator: "NotIn", values: ["canary"] },
      { key: "team", operator: "Exists" },
      { key: "legacy", operator: "DoesNotExist" },
    ];
    expect(printSelector({ matchLabels: { app: "web", part: "of" }, matchExpressions })).toBe(
      "app=web,part=of,tier in (web,api),track notin (canary),team,!legacy",
    );
  });
});

describe("a pod", () => {
  const label = "pod-template-hash";
  const revision = { label, value: "new" };

  function pod(name: string, status: object, more: { metadata?: object; spec?: object } = {}): PodWire {
    return PodWire.parse({
      metadata: meta(name, {
        labels: { [label]: "new" },
        creationTimestamp: "2026-01-05T12:00:00Z",
        ...more.metadata,
      }),
      spec: { containers: [{ name: "web", image }], nodeName: "node1", ...more.spec },
      status,
    });
  }
  const isOld = {
    metadata: { labels: { [label]: "old" } },
    spec: { containers: [{ name: "web", image: old }] },
  };
  const container = (state: object, more: object = {}) => ({
    phase: "Running",
    conditions: [{ type: "Ready", status: "False" }],
    containerStatuses: [{ name: "web", ready: false, restartCount: 0, state, ...more }],
  });
  const ready = {
    phase: "Running",
    conditions: [{ type: "Ready", status: "True" }],
    containerStatuses: [{ name: "web", ready: true, restartCount: 0, state: { running: {} } }],
  };
  const event = (message: string, more: object = {}) =>
    EventWire.parse({ message, reason: "Failed", ...more });

  function task(one: PodWire, events: readonly EventWire[] = [], kind: Kind = "deployment") {
    const stand = { kind, wire: workload({}), pods: [one], revision };
    return tasksOf(stand, new Map([[one.metadata.uid, events]]))[0];
  }

  it("runs when it is ready, by the images of its own spec, wherever its node found them", () => {
    const status = {
      ...ready,
      containerStatuses: [
        { ...ready.containerStatuses[0], imageID: "docker-pullable://x@sha256:1", image: "x" },
      ],
    };
    const initContainers = [{ name: "migrate", image }];
    const spec = { containers: [{ name: "web", image }], initContainers };
    expect(task(pod("web-1", status, { spec }))).toEqual({
      id: "uid-web-1",
      slot: "web-1",
      desired: true,
      images: { web: image, migrate: image },
      state: "running",
      restarts: 0,
      createdMs: Date.UTC(2026, 0, 5, 12),
    });
    expect(task(pod("web-1", status), [], "daemonset")?.slot).toBe("node1");
  });

  it.each<{
    name: string;
    status: object;
    spec?: object;
    events?: readonly EventWire[];
    state: string;
    error: string | RegExp;
    environment: boolean;
    container?: string;
    restarts?: number;
  }>([
    {
      name: "an image that the registry does not have",
      status: container({
        waiting: {
          reason: "ErrImagePull",
          message: `rpc error: manifest for ${image} not found: manifest unknown: manifest unknown`,
        },
      }),
      state: "failed",
      error: /^web: ErrImagePull: .*manifest unknown/,
      environment: false,
      container: "web",
    },
    {
      name: "the same between two tries, by what happened",
      status: container({
        waiting: { reason: "ImagePullBackOff", message: `Back-off pulling image "${image}"` },
      }),
      events: [
        event("Error: ErrImagePull", { lastTimestamp: "2026-01-05T12:00:03Z" }),
        event(`Failed to pull image "${image}": dial tcp: i/o timeout`, {
          lastTimestamp: "2026-01-05T12:00:01Z",
        }),
        event(`Failed to pull image "${image}": not found: manifest unknown`, {
          lastTimestamp: "2026-01-05T12:00:02Z",
        }),
      ],
      state: "failed",
      error: /^web: Failed to pull image .*manifest unknown/,
      environment: false,
      container: "web",
    },
    {
      name: "a pull that failed for a reason that nobody tells",
      status: container({ waiting: { reason: "ImagePullBackOff", message: "Back-off pulling image" } }),
      state: "failed",
      error: "web: ImagePullBackOff: Back-off pulling image",
      environment: true,
      container: "web",
    },
    {
      name: "a missing ConfigMap",
      status: container({
        waiting: { reason: "CreateContainerConfigError", message: 'configmap "nope" not found' },
      }),
      state: "failed",
      error: 'web: CreateContainerConfigError: configmap "nope" not found',
      environment: true,
      container: "web",
    },
    {
      name: "an entry point that is not there",
      status: container(
        { waiting: { reason: "CrashLoopBackOff", message: "back-off 10s restarting failed container=web" } },
        {
          restartCount: 2,
          lastState: {
            terminated: {
              exitCode: 127,
              reason: "ContainerCannotRun",
              message: 'exec: "/nope": stat /nope: no such file or directory',
            },
          },
        },
      ),
      state: "failed",
      error: /^web: ContainerCannotRun, exited with code 127: exec: "\/nope"/,
      environment: false,
      container: "web",
      restarts: 2,
    },
    {
      name: "a container that ended, at the moment",
      status: container({ terminated: { exitCode: 3, reason: "Error" } }, { restartCount: 1 }),
      state: "failed",
      error: "web: exited with code 3",
      environment: false,
      container: "web",
      restarts: 1,
    },
    {
      name: "a container that ended well, though it should stay",
      status: container({ terminated: { exitCode: 0, reason: "Completed" } }),
      state: "failed",
      error: "web: exited with code 0",
      environment: false,
      container: "web",
    },
    {
      name: "one that ended before and runs at the moment",
      status: container(
        { running: {} },
        { restartCount: 4, lastState: { terminated: { exitCode: 137, reason: "OOMKilled" } } },
      ),
      state: "starting",
      error: "web: OOMKilled, exited with code 137",
      environment: false,
      container: "web",
      restarts: 4,
    },
    {
      name: "a node without room",
      status: {
        phase: "Pending",
        conditions: [
          {
            type: "PodScheduled",
            status: "False",
            reason: "Unschedulable",
            message: "0/1 nodes are available: 1 Insufficient memory.",
          },
        ],
      },
      state: "starting",
      error: "Unschedulable: 0/1 nodes are available: 1 Insufficient memory.",
      environment: true,
    },
    {
      name: "a probe that does not succeed",
      status: container({ running: {} }),
      events: [
        event("Readiness probe failed: HTTP probe failed with statuscode: 503", { eventTime: "2026" }),
      ],
      state: "starting",
      error: "not ready: Readiness probe failed: HTTP probe failed with statuscode: 503",
      environment: false,
    },
    {
      name: "a volume that cannot be mounted",
      status: container({ waiting: { reason: "ContainerCreating" } }),
      events: [event('MountVolume.SetUp failed for volume "v": secret "s" not found')],
      state: "starting",
      error: 'web: ContainerCreating: MountVolume.SetUp failed for volume "v": secret "s" not found',
      environment: true,
      container: "web",
    },
    {
      name: "a node that has not begun",
      status: { phase: "Pending" },
      state: "starting",
      error: "not started by its node yet",
      environment: true,
    },
    {
      name: "a node that is lost",
      status: {
        ...container({ running: {} }),
        reason: "NodeLost",
        message: "Node node1 which was running pod web-1 is unresponsive",
      },
      state: "starting",
      error: /^NodeLost: Node node1/,
      environment: true,
    },
    {
      name: "an init container that failed, before those that wait for it",
      status: {
        ...container({ waiting: { reason: "PodInitializing" } }),
        initContainerStatuses: [
          { name: "migrate", restartCount: 1, state: { terminated: { exitCode: 1, reason: "Error" } } },
        ],
      },
      spec: { initContainers: [{ name: "migrate", image }] },
      state: "failed",
      error: "migrate: exited with code 1",
      environment: false,
      container: "migrate",
      restarts: 1,
    },
    {
      name: "an init container that is not done",
      status: {
        ...container({ waiting: { reason: "PodInitializing" } }),
        initContainerStatuses: [{ name: "migrate", restartCount: 0, state: { running: {} } }],
      },
      spec: { initContainers: [{ name: "migrate", image }] },
      state: "starting",
      error: "migrate: the init container has not ended yet",
      environment: false,
      container: "migrate",
    },
    {
      name: "a sidecar's failure, though it is declared with the init containers",
      status: {
        ...container({ running: {} }, { ready: true }),
        initContainerStatuses: [
          { name: "proxy", restartCount: 3, state: { terminated: { exitCode: 0, reason: "Completed" } } },
        ],
      },
      spec: { initContainers: [{ name: "proxy", image: "acme/proxy:v1", restartPolicy: "Always" }] },
      state: "failed",
      error: "proxy: exited with code 0",
      environment: false,
      container: "proxy",
      restarts: 3,
    },
  ])("tells $name", ({ status, spec, events, state, error, environment, container: about, restarts = 0 }) => {
    const found = task(pod("web-1", status, spec === undefined ? {} : { spec }), events);
    expect(found).toMatchObject({ state, desired: true, restarts });
    expect(found?.error).toEqual(typeof error === "string" ? error : expect.stringMatching(error));
    expect(found?.environment ?? false).toBe(environment);
    expect(found?.container).toBe(about);
  });

  it("stays as a record when its node has evicted it, and is nobody's fault", () => {
    const status = { phase: "Failed", reason: "Evicted", message: "The node was low on resource: memory." };
    expect(task(pod("web-1", status))).toMatchObject({
      desired: false,
      state: "failed",
      error: "Evicted: The node was low on resource: memory.",
      environment: true,
    });
  });

  it("says nothing while it is being deleted", () => {
    const status = container({ waiting: { reason: "CrashLoopBackOff" } }, { restartCount: 7 });
    const metadata = { deletionTimestamp: "2026-01-05T12:01:00Z" };
    const found = task(pod("web-1", status, { metadata: { ...metadata, labels: { [label]: "new" } } }));
    expect(found).toMatchObject({ desired: false, state: "starting", restarts: 0 });
    expect(found?.error).toBeUndefined();
  });

  it("of an earlier revision counts by its image as long as it is there, and its troubles do not", () => {
    const failing = container({ waiting: { reason: "CrashLoopBackOff" } }, { restartCount: 7 });
    expect(task(pod("web-0", ready, isOld))).toMatchObject({
      desired: true,
      state: "running",
      images: { web: old },
    });
    const found = task(pod("web-0", failing, isOld));
    expect(found).toMatchObject({ desired: true, state: "starting" });
    expect(found?.error).toBeUndefined();
    // By its image nobody could tell it from a current one.
    expect(task(pod("web-0", failing, { metadata: isOld.metadata }))).toBeUndefined();
    expect(task(pod("web-0", { phase: "Failed", reason: "Evicted" }, isOld))).toBeUndefined();
  });

  it("is asked for events only where it says too little, first where the blame depends on it", () => {
    const creating = pod("web-1", container({ waiting: { reason: "ContainerCreating" } }));
    const pulling = pod("web-2", container({ waiting: { reason: "ImagePullBackOff" } }));
    const crashing = pod("web-3", container({ terminated: { exitCode: 3 } }));
    const before = pod("web-0", container({ waiting: { reason: "ImagePullBackOff" } }), isOld);
    const pods = [creating, pod("web-4", ready), pulling, crashing, before];
    const asked = podsToAsk({ kind: "deployment", wire: workload({}), pods, revision });
    expect(asked.map(({ metadata }) => metadata.name)).toEqual(["web-2", "web-1"]);
  });

  it("fails for the reason that another one of the same image was told", () => {
    const told = `Failed to pull image "${image}": manifest unknown`;
    const pods = ["web-1", "web-2"].map((name) =>
      pod(name, container({ waiting: { reason: "ImagePullBackOff", message: "Back-off" } })),
    );
    const stand = { kind: "deployment" as const, wire: workload({}), pods, revision };
    const tasks = tasksOf(stand, new Map([["uid-web-1", [event(told)]]]));
    expect(tasks.map(({ error, environment }) => [error, environment])).toEqual([
      [`web: ${told}`, undefined],
      [`web: ${told}`, undefined],
    ]);
  });

  it("is stuck where a StatefulSet waits for its earlier revision in order", () => {
    const pulling = container({ waiting: { reason: "ErrImagePull", message: "manifest unknown" } });
    const pods = [pod("web-0", ready, isOld), pod("web-1", pulling, isOld), pod("web-2", pulling)];
    const stuck = (kind: Kind, spec: object) =>
      stuckPods({ kind, wire: workload(spec), pods, revision }, 0).map(({ metadata }) => metadata.name);
    expect(stuck("statefulset", {})).toEqual(["web-1"]);
    expect(stuck("statefulset", { podManagementPolicy: "Parallel" })).toEqual([]);
    expect(stuck("statefulset", { updateStrategy: { type: "OnDelete" } })).toEqual([]);
    expect(stuck("statefulset", { updateStrategy: { rollingUpdate: { partition: 2 } } })).toEqual([]);
    expect(stuck("deployment", {})).toEqual([]);
  });

  it("is stuck though it runs, when it was not ready for long or had to be started again", () => {
    const sinceMs = Date.UTC(2026, 0, 5, 12);
    const unready = { type: "Ready", status: "False", lastTransitionTime: new Date(sinceMs).toISOString() };
    const runs = container({ running: {} });
    const pods = [
      pod("web-0", { ...runs, conditions: [unready] }, isOld),
      pod("web-1", { ...container({ running: {} }, { restartCount: 1 }), conditions: [unready] }, isOld),
      pod("web-2", { ...runs, conditions: [{ ...unready, status: "True" }] }, isOld),
    ];
    const stuck = (atMs: number) =>
      stuckPods({ kind: "statefulset", wire: workload({}), pods, revision }, atMs).map(
        ({ metadata }) => metadata.name,
      );
    expect(stuck(sinceMs + 19_999)).toEqual(["web-1"]);
    expect(stuck(sinceMs + 20_000)).toEqual(["web-0", "web-1"]);
  });
});

describe("a pull that failed", () => {
  it.each([
    ["manifest for R:ghost not found: manifest unknown: manifest unknown", false],
    ['failed to resolve reference "R:ghost": R:ghost: not found', false],
    ["no matching manifest for linux/arm64/v8 in the manifest list entries", false],
    ["no match for platform in manifest: not found", false],
    ["Get https://r.example/v2/: no basic auth credentials", true],
    ["pull access denied for R, repository does not exist or may require 'docker login'", true],
    ["unauthorized: authentication required", true],
    ["failed to do request: dial tcp: lookup r.example: no such host", true],
    ["toomanyrequests: You have reached your pull rate limit", true],
    ["received unexpected HTTP status: 503 Service Unavailable", true],
    ["x509: certificate signed by unknown authority", true],
    ["net/http: TLS handshake timeout", true],
    ["context deadline exceeded", true],
    ["no space left on device", true],
    ["", true],
  ])("is judged by what the node said: %s", (words, environment) => {
    for (const named of [
      "reg.example:5000/acme/web:v1",
      "acme/denied-503:timeout",
      "manifest/unauthorized:x",
    ]) {
      expect(isPullEnvironment(words.replaceAll("R", named.replace(/:[^:]*$/, "")), named)).toBe(environment);
    }
  });
});

describe("a workload", () => {
  const toldOf = (metadata: object, spec: object = {}, kind: Kind = "deployment") =>
    toWorkload("k8s", kind, "apps/v1", workload(spec, {}, metadata));

  it.each<{ name: string; metadata: object; managedBy: string | undefined }>([
    {
      name: "Argo CD by its annotation",
      metadata: { annotations: { "argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/web" } },
      managedBy: "Argo CD application shop",
    },
    {
      name: "Argo CD by its label",
      metadata: { labels: { "argocd.argoproj.io/instance": "shop" } },
      managedBy: "Argo CD application shop",
    },
    {
      name: "Flux",
      metadata: { labels: { "kustomize.toolkit.fluxcd.io/name": "apps" } },
      managedBy: "Flux Kustomization apps",
    },
    {
      name: "Flux by Helm",
      metadata: { labels: { "helm.toolkit.fluxcd.io/name": "web", "app.kubernetes.io/managed-by": "Helm" } },
      managedBy: "Flux HelmRelease web",
    },
    {
      name: "an operator",
      metadata: { ownerReferences: [{ kind: "Rollout", name: "web", uid: "1", controller: true }] },
      managedBy: "Rollout web",
    },
    {
      name: "nobody, though Helm brought it",
      metadata: {
        labels: { "app.kubernetes.io/managed-by": "Helm" },
        annotations: { "meta.helm.sh/release-name": "web" },
      },
      managedBy: undefined,
    },
  ])("is managed by $name", ({ metadata, managedBy }) => {
    expect(toldOf(metadata)?.managedBy).toBe(managedBy);
  });

  it.each<{ name: string; kind: Kind; spec: object; notRolling: RegExp | undefined }>([
    {
      name: "a paused Deployment",
      kind: "deployment",
      spec: { paused: true },
      notRolling: /^the Deployment is paused$/,
    },
    {
      name: "pods that a person deletes",
      kind: "daemonset",
      spec: { updateStrategy: { type: "OnDelete" } },
      notRolling: /OnDelete/,
    },
    {
      name: "a partition",
      kind: "statefulset",
      spec: { updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: 2 } } },
      notRolling: /^partition 2 /,
    },
    {
      name: "nothing, by default",
      kind: "statefulset",
      spec: { updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: 0 } } },
      notRolling: undefined,
    },
    {
      name: "nothing, where a CronJob is suspended",
      kind: "cronjob",
      spec: { suspend: true },
      notRolling: undefined,
    },
  ])("is kept from rolling by $name", ({ kind, spec, notRolling }) => {
    const found = toldOf({}, spec, kind)?.notRolling;
    expect(found).toEqual(notRolling === undefined ? undefined : expect.stringMatching(notRolling));
  });

  it("has its settings in annotations, and says which stand where they do not act", () => {
    const template = {
      metadata: {
        annotations: { "landfall.pause": "true" },
        labels: { "landfall.policy": "none", app: "web" },
      },
      spec: { containers: [{ name: "web", image: "UPPER/bad@@" }] },
    };
    const found = toldOf(
      {
        annotations: {
          "landfall.policy": "tag",
          "landfall.policy.web": "none",
          "landfall.seq": "41",
          "landfall.what": "x",
          "landfall.when": "x",
          "landfall.why": "x",
          team: "forms",
        },
        labels: { "landfall.pause": "true", "landfall.hold": "x" },
      },
      { template },
    );
    expect(found).toMatchObject({
      id: "k8s/shop/deployment/web",
      version: "589",
      settings: { policy: "tag", "policy.web": "none" },
      misplacedSettings: ["landfall.pause", "landfall.hold", "landfall.policy"],
      fence: 41,
      containers: [{ name: "web", image: "UPPER/bad@@" }],
    });
    expect(found?.containers[0]?.reference).toBeUndefined();
  });

  it.each(["", "-1", "1e3", "9".repeat(16)])("has no fence that says %j", (text) => {
    expect(toldOf({ annotations: { "landfall.seq": text } })?.fence).toBe(0);
  });
});
