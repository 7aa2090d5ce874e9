import type { DockerService, DockerTask, DockerUpdateConfig } from "./engine.ts";

/** How Swarmpit reads an image name: no host, namespace or tag is ever added. */
export interface ParsedImage {
  readonly name: string;
  readonly tag: string;
  readonly image: string;
  readonly imageDigest: string | null;
}

/** Splits at `@`, then at the last colon: the port of `reg.example:5000/acme/web` becomes part of a tag. */
export function parseImage(text: string): ParsedImage {
  const [image = "", imageDigest = null] = text.split("@");
  const colon = image.lastIndexOf(":");
  return {
    name: colon < 0 ? image : image.slice(0, colon),
    tag: colon < 0 ? "" : image.slice(colon + 1),
    image,
    imageDigest,
  };
}

/** A Docker service as `GET /api/services` shows it. Absent values are null. */
export function toService(service: DockerService, allTasks: readonly DockerTask[]) {
  const { Spec: spec } = service;
  const labels = spec.Labels ?? {};
  const container = spec.TaskTemplate.ContainerSpec;
  const tasks = allTasks.filter((task) => task.ServiceID === service.ID);
  const running = tasks.filter((task) => task.Status.State === "running").length;
  const replicas = spec.Mode.Global === undefined ? (spec.Mode.Replicated?.Replicas ?? 0) : null;
  const total = replicas ?? tasks.filter((task) => task.DesiredState !== "shutdown").length;
  const flag = (label: string) => (labels[label] === undefined ? null : true);
  return {
    id: service.ID,
    version: service.Version.Index,
    createdAt: service.CreatedAt,
    updatedAt: service.UpdatedAt,
    repository: parseImage(container.Image),
    serviceName: spec.Name,
    mode: replicas === null ? "global" : "replicated",
    stack: labels["com.docker.stack.namespace"] ?? null,
    agent: flag("swarmpit.agent"),
    immutable: flag("swarmpit.service.immutable"),
    links: linksOf(labels),
    replicas,
    state: running === 0 ? "not running" : running < total ? "partly running" : "running",
    status: {
      tasks: { running, total },
      update: service.UpdateStatus?.State ?? null,
      message: service.UpdateStatus?.Message ?? null,
    },
    ports: [],
    mounts: [],
    networks: [],
    secrets: [],
    configs: [],
    hosts: [],
    variables: (container.Env ?? []).map((variable) => {
      const [name = "", ...value] = variable.split("=");
      return { name, value: value.join("=") };
    }),
    labels: pairs(labels).filter(({ name }) => !/^(swarmpit|com\.docker)/.test(name)),
    containerLabels: pairs(container.Labels ?? {}),
    command: container.Args ?? null,
    user: container.User ?? null,
    dir: container.Dir ?? null,
    tty: container.TTY ?? null,
    healthcheck: null,
    logdriver: { name: spec.TaskTemplate.LogDriver?.Name ?? "json-file", opts: [] },
    resources: { reservation: { cpu: 0.0, memory: 0 }, limit: { cpu: 0.0, memory: 0 } },
    deployment: {
      update: policyOf(spec.UpdateConfig),
      forceUpdate: spec.TaskTemplate.ForceUpdate ?? 0,
      restartPolicy: {
        condition: spec.TaskTemplate.RestartPolicy?.Condition ?? "any",
        delay: secondsOf(spec.TaskTemplate.RestartPolicy?.Delay ?? 5_000_000_000),
        window: secondsOf(spec.TaskTemplate.RestartPolicy?.Window ?? 0),
        attempts: spec.TaskTemplate.RestartPolicy?.MaxAttempts ?? 0,
      },
      rollback: policyOf(spec.RollbackConfig),
      rollbackAllowed: (service.PreviousSpec ?? undefined) !== undefined,
      autoredeploy: labels["swarmpit.service.deployment.autoredeploy"] === "true",
      placement: (spec.TaskTemplate.Placement?.Constraints ?? []).map((rule) => ({ rule })),
      maxReplicas: spec.TaskTemplate.Placement?.MaxReplicas ?? null,
    },
  };
}

/** A Docker task as `GET /api/tasks` shows it; old tasks are listed too. */
export function toSwarmpitTask(task: DockerTask, serviceName: string) {
  const { image, imageDigest } = parseImage(task.Spec.ContainerSpec?.Image ?? "");
  return {
    id: task.ID,
    taskName: `${serviceName}.${task.Slot ?? task.NodeID ?? ""}`,
    version: task.Version.Index,
    createdAt: task.CreatedAt,
    updatedAt: task.UpdatedAt,
    repository: { image, imageDigest },
    state: task.Status.State,
    status: { error: task.Status.Err ?? null },
    desiredState: task.DesiredState,
    logdriver: null,
    serviceName,
    resources: { reservation: { cpu: 0.0, memory: 0 }, limit: { cpu: 0.0, memory: 0 } },
    nodeId: task.NodeID ?? null,
    nodeName: null,
    stats: null,
  };
}

function policyOf(config: DockerUpdateConfig | undefined) {
  return {
    parallelism: config?.Parallelism ?? 1,
    delay: secondsOf(config?.Delay ?? 0),
    order: config?.Order ?? "stop-first",
    failureAction: config?.FailureAction ?? "pause",
  };
}

function linksOf(labels: Readonly<Record<string, string>>) {
  const prefix = "swarmpit.service.link.";
  return pairs(labels)
    .filter(({ name }) => name.startsWith(prefix))
    .map(({ name, value }) => ({ name: name.slice(prefix.length), value }));
}

function pairs(labels: Readonly<Record<string, string>>) {
  return Object.entries(labels).map(([name, value]) => ({ name, value }));
}

function secondsOf(nanoseconds: number): number {
  return nanoseconds / 1_000_000_000;
}
