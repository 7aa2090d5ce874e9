import { mediaTypes } from "../../functions/local/sandbox/registry/image.ts";
import type { SandboxRegistry } from "../../functions/local/sandbox/registry/registry.ts";
import type { FetchContent } from "../../functions/local/sandbox/swarm/image.ts";
import { type SmallSwarm, smallSwarm } from "../../functions/local/sandbox/swarm/small-swarm.ts";
import type { SwarmState } from "../../functions/local/sandbox/swarm/state.ts";
import type { SwarmpitQuirks } from "../../functions/local/sandbox/swarmpit/operations.ts";
import {
  type SandboxSwarmpit,
  startSandboxSwarmpit,
} from "../../functions/local/sandbox/swarmpit/swarmpit.ts";
import type { Clock } from "../../shared/clock.ts";
import { pathOf } from "../../shared/domain/reference.ts";
import { type FaultyProxy, faultyProxy } from "../doubles/faulty-proxy.ts";
import type { ManualClock } from "../doubles/manual-clock.ts";

export interface PlaceOptions {
  readonly name: string;
  readonly kind: "swarm" | "swarmpit";
  readonly mode?: "act" | "observe";
  /** Of its Swarmpit. */
  readonly quirks?: Partial<SwarmpitQuirks>;
}

export interface ServiceOptions {
  readonly tasks?: number;
  readonly labels?: Readonly<Record<string, string>>;
  /** Platforms that its placement names, as the docker command line writes them. */
  readonly platforms?: readonly { readonly OS: string; readonly Architecture: string }[];
  /** Whether Docker starts another task where one has ended; default any. */
  readonly restarts?: "any" | "none";
  /** What Docker does when an update fails. */
  readonly onFailure?: "pause" | "continue" | "rollback";
}

/** One target with its own small swarm and its own way there. */
export interface Place {
  readonly name: string;
  /** Its entry of `targets`. */
  readonly config: string;
  /** The way from Landfall to it. */
  readonly way: FaultyProxy;
  readonly swarm: SmallSwarm;
  /** Only of a place of that kind. */
  readonly swarmpit: SandboxSwarmpit;
  create(name: string, image: string, options?: ServiceOptions): Promise<void>;
  /** Somebody changes the service by hand. */
  change(name: string, change: (spec: Spec) => Spec): Promise<void>;
  imageOf(name: string): Promise<string>;
  /** The image of each write that Docker took, oldest first. */
  writes(): Promise<readonly string[]>;
  /** What its nodes can do; may be changed at any time. What they have pulled once they keep. */
  readonly nodes: { canPull: boolean; pullMs: number; takeTasks: boolean };
  /** One of the tasks that run is killed. */
  kill(): Promise<void>;
  /** The images of the tasks that run now, sorted. */
  running(): Promise<readonly string[]>;
  close(): Promise<void>;
}

type Spec = SwarmState["services"][number]["spec"];

interface Around {
  readonly clock: ManualClock;
  readonly registry: SandboxRegistry;
  readonly onSilence: (call: string) => void;
}

export async function startPlace(options: PlaceOptions, around: Around): Promise<Place> {
  const { name, kind, mode, quirks = {} } = options;
  const { clock, registry, onSilence } = around;
  // Another machine's clock: nobody sets it when Landfall's is set.
  const startMs = clock.now();
  const itsClock: Clock = { ...clock, now: () => startMs + clock.monotonic() };
  const nodes = { canPull: true, pullMs: 200, takeTasks: true };
  const content: FetchContent = async (what, repository, reference) => {
    if (!nodes.canPull) throw new Error("no basic auth credentials");
    const answer = await fetch(`${registry.url}/v2/${pathOf(repository)}/${what}/${reference}`, {
      headers: { accept: Object.values(mediaTypes).join(", ") },
    });
    if (!answer.ok) return undefined;
    const bytes = new Uint8Array(await answer.arrayBuffer());
    return { mediaType: answer.headers.get("content-type") ?? "", bytes };
  };
  const timing = {
    get pullMs() {
      return nodes.pullMs;
    },
  };
  const swarm = smallSwarm({ clock: itsClock, content, timing, takesTasks: () => nodes.takeTasks });
  const swarmpit =
    kind === "swarmpit"
      ? await startSandboxSwarmpit({
          engine: swarm.handle,
          clock: itsClock,
          registryAccounts: [{ url: registry.url, public: true }],
          quirks,
        })
      : undefined;
  const listening = swarmpit === undefined ? await swarm.listen(0) : undefined;
  const to = swarmpit?.url.replace("/api", "") ?? `http://127.0.0.1:${listening?.port}`;
  const way = await faultyProxy({ to, onSilence });
  const address =
    swarmpit === undefined
      ? `host: "tcp://127.0.0.1:${way.port}"`
      : `url: "${way.url}/api", token: "${swarmpit.token()}"`;

  const specOf = async (service: string) => {
    const state = await swarm.snapshot();
    const found = state.services.find(({ spec }) => spec.Name === service);
    if (found === undefined) throw new Error(`${service} is not in ${name}`);
    return found;
  };
  const post = async (path: string, spec: object) => {
    const answer = await swarm.handle("POST", path, JSON.stringify(spec));
    if (answer.status > 201) throw new Error(answer.body);
  };

  return {
    name,
    config: `{ name: ${name}, kind: ${kind}, ${address}${mode === undefined ? "" : `, mode: ${mode}`} }`,
    way,
    swarm,
    get swarmpit() {
      if (swarmpit === undefined) throw new Error(`${name} has no Swarmpit`);
      return swarmpit;
    },
    async create(
      service,
      image,
      { tasks = 1, labels = {}, platforms, restarts = "any", onFailure = "pause" } = {},
    ) {
      await post("/services/create", {
        Name: service,
        Labels: labels,
        TaskTemplate: {
          ContainerSpec: { Image: image },
          RestartPolicy: { Condition: restarts, Delay: 1_000_000_000 },
          ...(platforms === undefined ? {} : { Placement: { Platforms: platforms } }),
        },
        Mode: { Replicated: { Replicas: tasks } },
        UpdateConfig: { Parallelism: 1, FailureAction: onFailure, Order: "stop-first" },
      });
      await clock.advance(5_000);
      // What is due happens when somebody asks.
      await swarm.snapshot();
    },
    async change(service, change) {
      const { id, version, spec } = await specOf(service);
      await post(`/services/${id}/update?version=${version}`, change(spec));
    },
    imageOf: async (service) => (await specOf(service)).spec.TaskTemplate.ContainerSpec.Image,
    writes: async () => {
      const { events } = await swarm.snapshot();
      return events.flatMap(({ Actor: { Attributes } }) => Attributes["image.new"] ?? []);
    },
    nodes,
    kill: async () => {
      const state = await swarm.snapshot();
      const task = state.tasks.find((each) => each.state === "running" && each.desired === "running");
      if (task === undefined) throw new Error("no task runs");
      Object.assign(task, { exit: { code: 137, afterMs: 0 }, dueMs: itsClock.now() });
      swarm.restore(state);
    },
    running: async () => {
      const { tasks } = await swarm.snapshot();
      return tasks
        .filter(({ state, desired }) => state === "running" && desired === "running")
        .map(({ template }) => template.ContainerSpec.Image)
        .toSorted();
    },
    close: async () => {
      await way.close();
      await swarmpit?.close();
      await listening?.close();
    },
  };
}
