import { mediaTypes } from "../../functions/local/sandbox/registry/image.ts";
import {
  type SandboxRegistry,
  startSandboxRegistry,
} from "../../functions/local/sandbox/registry/registry.ts";
import type { FetchContent } from "../../functions/local/sandbox/swarm/image.ts";
import { type SmallSwarm, smallSwarm } from "../../functions/local/sandbox/swarm/small-swarm.ts";
import {
  type SandboxSwarmpit,
  type SandboxSwarmpitOptions,
  startSandboxSwarmpit,
} from "../../functions/local/sandbox/swarmpit/swarmpit.ts";
import { pathOf } from "../../shared/domain/reference.ts";
import type { WorkloadOptions } from "../contracts/target.ts";
import { type ManualClock, manualClock } from "../doubles/manual-clock.ts";

/** A Swarmpit over a small swarm on a clock that stands still, and the registry that both use. */
export interface SwarmpitWorld {
  readonly clock: ManualClock;
  readonly registry: SandboxRegistry;
  readonly swarm: SmallSwarm;
  /** Has a public account for the registry. */
  readonly swarmpit: SandboxSwarmpit;
  /** Another Swarmpit over the same swarm, closed with the world. */
  start(options: Partial<SandboxSwarmpitOptions>): Promise<SandboxSwarmpit>;
  create(name: string, image: string, options?: ServiceOptions): Promise<void>;
  close(): Promise<void>;
}

export interface ServiceOptions extends WorkloadOptions {
  readonly env?: readonly string[];
  /** In place of a number of replicas. */
  readonly mode?: object;
}

export async function swarmpitWorld(
  users?: NonNullable<SandboxSwarmpitOptions["users"]>,
): Promise<SwarmpitWorld> {
  const clock = manualClock();
  const registry = await startSandboxRegistry();
  // What nodes pull: whatever the host, it is this registry.
  const content: FetchContent = async (kind, repository, reference) => {
    const answer = await fetch(`${registry.url}/v2/${pathOf(repository)}/${kind}/${reference}`, {
      headers: { accept: Object.values(mediaTypes).join(", ") },
    });
    if (!answer.ok) return undefined;
    const bytes = new Uint8Array(await answer.arrayBuffer());
    return { mediaType: answer.headers.get("content-type") ?? "", bytes };
  };
  const swarm = smallSwarm({ clock, content });
  const started: SandboxSwarmpit[] = [];
  const start = async (options: Partial<SandboxSwarmpitOptions>) => {
    const named = users === undefined ? {} : { users };
    const swarmpit = await startSandboxSwarmpit({ engine: swarm.handle, clock, ...named, ...options });
    started.push(swarmpit);
    return swarmpit;
  };
  return {
    clock,
    registry,
    swarm,
    swarmpit: await start({ registryAccounts: [{ url: registry.url, public: true }] }),
    start,
    async create(name, image, options = {}) {
      const { tasks = 1, labels = {}, containerLabels = {}, env = [], mode } = options;
      const spec = {
        Name: name,
        Labels: labels,
        TaskTemplate: { ContainerSpec: { Image: image, Labels: containerLabels, Env: env } },
        Mode: mode ?? { Replicated: { Replicas: tasks } },
      };
      const answer = await swarm.handle("POST", "/services/create", JSON.stringify(spec));
      if (answer.status !== 201) throw new Error(answer.body);
    },
    async close() {
      for (const swarmpit of started) await swarmpit.close();
      await registry.stop();
    },
  };
}
