import { type Digest, parseReference, printReference } from "../../shared/domain/reference.ts";
import type { Workload } from "../../shared/domain/workload.ts";
import type {
  Capabilities,
  Change,
  Look,
  Target,
  TaskLook,
  WriteOutcome,
} from "../../shared/targets/target.ts";

/** A write that the model took. */
export interface ModelWrite {
  readonly workload: string;
  readonly seq: number;
  readonly image: string;
  /** Whether tasks were replaced for it. */
  readonly restarted: boolean;
  /** What the workload was when it was written. */
  readonly before: { readonly image: string; readonly fence: number; readonly isDown: boolean };
}

interface Service {
  version: number;
  image: string;
  fence: number;
  tasks: TaskLook[];
  labels: Readonly<Record<string, string>>;
  readonly containerLabels: Record<string, string>;
  readonly count: number;
}

export interface ModelTarget extends Target {
  readonly writes: readonly ModelWrite[];
  create(name: string, image: string, options?: ModelService): void;
  /** Somebody else changes something that replaces no task. */
  touch(name: string): void;
  /** Somebody else changes what it runs, or its labels; one who goes back to an earlier state brings its fence along. */
  change(
    name: string,
    to: {
      readonly image?: string;
      readonly fence?: number;
      readonly labels?: Readonly<Record<string, string>>;
    },
  ): void;
  remove(name: string): void;
  /** A task ends by itself; another one takes its place, unless it stays down. */
  crash(name: string, stays?: "down"): void;
  /** What every call fails with, until it is told otherwise. */
  trouble: Error | undefined;
  /** How many calls it has had. */
  calls(): number;
  imageOf(name: string): string | undefined;
  fenceOf(name: string): number | undefined;
  labelsOf(name: string): Readonly<Record<string, string>>;
  /** Everything but what a rollout is there to change. */
  rest(name: string): unknown;
}

export interface ModelService {
  readonly tasks?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly containerLabels?: Readonly<Record<string, string>>;
}

export interface ModelTargetOptions {
  /** What an image does when it is run; default it runs. */
  readonly behaviour?: (digest: Digest | undefined) => "runs" | "exits" | "gone";
  readonly now?: () => number;
}

const keptTasks = 12;
const capabilities: Capabilities = { pins: true, fences: true, rollsBackTo: "any" };

/**
 * A target at the speed of memory, for properties that need thousands of runs: versions, a fence, tasks that are
 * replaced at once. It passes the target contract; everything slower is the small swarm's business.
 */
export function modelTarget(name: string, options: ModelTargetOptions = {}): ModelTarget {
  const { behaviour = () => "runs", now = () => 0 } = options;
  const services = new Map<string, Service>();
  const writes: ModelWrite[] = [];
  let tasks = 0;
  let calls = 0;

  function digestOf(image: string): Digest | undefined {
    const parsed = parseReference(image);
    return parsed.kind === "reference" ? parsed.reference.digest : undefined;
  }

  function start(service: string, image: string, count: number): TaskLook[] {
    const does = behaviour(digestOf(image));
    return Array.from({ length: count }, (_, slot) => ({
      id: `task-${++tasks}`,
      slot: String(slot + 1),
      desired: true,
      images: { [service]: image },
      state: does === "runs" ? "running" : "failed",
      ...(does === "exits" ? { error: "task: non-zero exit (3)" } : {}),
      ...(does === "gone" ? { error: `No such image: ${image}`, environment: true } : {}),
      restarts: 0,
      createdMs: now() + tasks / 1000,
    }));
  }

  function read(service: string): Workload | undefined {
    const found = services.get(service);
    if (found === undefined) return undefined;
    const parsed = parseReference(found.image);
    const settings = Object.entries(found.labels).flatMap(([key, value]) =>
      key.startsWith("landfall.") ? [[key.slice("landfall.".length), value]] : [],
    );
    return {
      id: `${name}/${service}`,
      target: name,
      name: service,
      version: String(found.version),
      containers: [
        {
          name: service,
          image: found.image,
          ...(parsed.kind === "reference" ? { reference: parsed.reference } : {}),
        },
      ],
      settings: Object.fromEntries(settings),
      misplacedSettings: Object.keys(found.containerLabels).filter((key) => key.startsWith("landfall.")),
      fence: found.fence,
      raw: undefined,
    };
  }

  function look(service: string): Look | undefined {
    const workload = read(service);
    const found = services.get(service);
    if (workload === undefined || found === undefined) return undefined;
    const failed = found.tasks.some((task) => task.desired && task.state === "failed");
    return {
      workload,
      update: found.fence === 0 ? "none" : failed ? "paused" : "completed",
      ...(failed ? { message: "update paused due to failure or early termination of task" } : {}),
      tasks: found.tasks,
      wantedTasks: found.count,
      windowMs: 1,
    };
  }

  function update(workload: Workload, change: Change): WriteOutcome {
    const found = services.get(workload.name);
    if (found === undefined) return { kind: "gone" };
    if (workload.version !== String(found.version)) return { kind: "conflict" };
    const wanted = change.images[workload.name];
    const image = wanted === undefined ? found.image : printReference(wanted);
    const restarted = digestOf(image) !== digestOf(found.image);
    const isDown = found.tasks.some((task) => task.desired && task.state === "failed");
    const before = { image: found.image, fence: found.fence, isDown };
    writes.push({ workload: workload.id, seq: change.seq, image, restarted, before });
    found.version++;
    found.fence = change.seq;
    // An update that is on the way again starts anew what had failed.
    if (restarted || isDown) replace(workload.name, found, image);
    return { kind: "accepted" };
  }

  function replace(service: string, found: Service, image: string): void {
    found.image = image;
    const old = found.tasks.map((task) => ({ ...task, desired: false }));
    found.tasks = [...start(service, image, found.count), ...old].slice(0, keptTasks);
  }

  const asked = async <T>(answer: () => T): Promise<T> => {
    calls++;
    const { trouble } = model;
    if (trouble !== undefined) throw trouble;
    return answer();
  };

  const model: ModelTarget = {
    name,
    kind: "model",
    capabilities,
    writes,
    trouble: undefined,
    calls: () => calls,
    list: () => asked(() => [...services.keys()].flatMap((service) => read(service) ?? [])),
    get: (service) => asked(() => read(service)),
    look: (service) => asked(() => look(service)),
    update: (workload, change) => asked(() => update(workload, change)),
    platforms: async () => [],
    close: async () => {},
    create: (service, image, { tasks: count = 1, labels = {}, containerLabels = {} } = {}) => {
      const running = start(service, image, count);
      services.set(service, {
        version: 1,
        image,
        fence: 0,
        tasks: running,
        labels: { ...labels },
        containerLabels,
        count,
      });
    },
    touch: (service) => {
      const found = services.get(service);
      if (found !== undefined) found.version++;
    },
    change: (service, { image, fence, labels }) => {
      const found = services.get(service);
      if (found === undefined) return;
      found.version++;
      found.fence = fence ?? found.fence;
      found.labels = labels ?? found.labels;
      if (image !== undefined) replace(service, found, image);
    },
    remove: (service) => services.delete(service),
    crash: (service, stays) => {
      const found = services.get(service);
      const lost = found?.tasks.findIndex((task) => task.desired && task.state === "running") ?? -1;
      const task = found?.tasks[lost];
      if (found === undefined || task === undefined) return;
      const ended: TaskLook = {
        ...task,
        desired: false,
        state: "failed",
        error: "task: non-zero exit (137)",
      };
      const [next] = stays === "down" ? [] : start(service, found.image, 1);
      const others = found.tasks.filter((_, index) => index !== lost);
      const taken = next === undefined ? [] : [{ ...next, slot: task.slot }];
      found.tasks = [...taken, ...others, ended].slice(0, keptTasks);
    },
    imageOf: (service) => services.get(service)?.image,
    fenceOf: (service) => services.get(service)?.fence,
    labelsOf: (service) => services.get(service)?.labels ?? {},
    rest: (service) => {
      const { labels, containerLabels, count } = services.get(service) ?? {};
      return { labels, containerLabels, count };
    },
  };
  return model;
}
