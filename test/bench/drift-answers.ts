import { createHash } from "node:crypto";

/** One of so many references; workloads share them evenly. */
export function digestOf(reference: number): string {
  return `sha256:${createHash("sha256").update(`reference ${reference}`).digest("hex")}`;
}

export function imageOf(registry: string, reference: number): string {
  return `${registry}/bench/r${reference}:v1@${digestOf(reference)}`;
}

const environment = Array.from({ length: 6 }, (_, n) => `SETTING_${n}=value-of-some-length-${n}`);
const labels = Object.fromEntries(
  Array.from({ length: 4 }, (_, n) => [`com.example.bench.label-${n}`, `value-${n}`]),
);

/** A service as the engine lists it, with the spec before its last update: about 3 KiB. */
export function serviceJson(name: string, image: string): string {
  const spec = {
    Name: name,
    Labels: labels,
    TaskTemplate: {
      ContainerSpec: {
        Image: image,
        Labels: labels,
        Env: environment,
        Mounts: [{ Type: "volume", Source: `${name}-data`, Target: "/data" }],
        Healthcheck: { Test: ["CMD", "curl", "-fsS", "http://localhost/health"], Interval: 10_000_000_000 },
        Isolation: "default",
      },
      Resources: { Limits: { MemoryBytes: 268_435_456 }, Reservations: {} },
      RestartPolicy: { Condition: "any", Delay: 5_000_000_000, MaxAttempts: 0 },
      Placement: { Platforms: [{ Architecture: "amd64", OS: "linux" }] },
      Networks: [{ Target: "q8wdd7sgz1gtb4s37dpl7qgbb", Aliases: [name] }],
      ForceUpdate: 0,
      Runtime: "container",
    },
    Mode: { Replicated: { Replicas: 2 } },
    UpdateConfig: { Parallelism: 1, FailureAction: "pause", Monitor: 5_000_000_000, Order: "stop-first" },
    EndpointSpec: { Mode: "vip", Ports: [{ Protocol: "tcp", TargetPort: 80, PublishMode: "ingress" }] },
  };
  return JSON.stringify({
    ID: createHash("sha256").update(name).digest("hex").slice(0, 25),
    Version: { Index: 1_000 },
    CreatedAt: "2026-01-05T12:00:00.000000000Z",
    UpdatedAt: "2026-01-05T12:00:00.000000000Z",
    Spec: spec,
    PreviousSpec: spec,
    Endpoint: { Spec: spec.EndpointSpec, VirtualIPs: [{ NetworkID: "n", Addr: "10.0.0.7/24" }] },
    UpdateStatus: { State: "completed", Message: "update completed" },
    ServiceStatus: { RunningTasks: 2, DesiredTasks: 2, CompletedTasks: 0 },
  });
}

/** A Deployment as an API server lists it, with what its managers own: about 4 KiB. */
export function deploymentJson(name: string, image: string): string {
  const owned = Object.fromEntries(
    Array.from({ length: 30 }, (_, n) => [`f:field-${n}`, { ".": {}, "f:name": {}, "f:value": {} }]),
  );
  const app = { app: name };
  return JSON.stringify({
    metadata: {
      name,
      namespace: "bench",
      uid: createHash("sha256").update(name).digest("hex").slice(0, 32),
      resourceVersion: "4711",
      generation: 3,
      creationTimestamp: "2026-01-05T12:00:00Z",
      labels: app,
      annotations: { "deployment.kubernetes.io/revision": "3" },
      managedFields: [{ manager: "kubectl", operation: "Update", fieldsV1: { "f:spec": owned } }],
    },
    spec: {
      replicas: 2,
      selector: { matchLabels: app },
      template: {
        metadata: { labels: app },
        spec: {
          containers: [
            {
              name: "app",
              image,
              env: environment.map((each) => ({ name: each.split("=")[0], value: each.split("=")[1] })),
              readinessProbe: { httpGet: { path: "/health", port: 80 }, periodSeconds: 10 },
            },
          ],
        },
      },
    },
    status: {
      observedGeneration: 3,
      replicas: 2,
      updatedReplicas: 2,
      readyReplicas: 2,
      availableReplicas: 2,
      conditions: [{ type: "Available", status: "True", reason: "MinimumReplicasAvailable" }],
    },
  });
}
