import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { mediaTypes } from "../../functions/local/sandbox/registry/image.ts";
import {
  type SandboxRegistry,
  startSandboxRegistry,
} from "../../functions/local/sandbox/registry/registry.ts";
import { smallSwarm } from "../../functions/local/sandbox/swarm/small-swarm.ts";
import { systemClock } from "../../shared/clock.ts";
import { type Digest, parseReference, pathOf } from "../../shared/domain/reference.ts";

/** A registry and a Swarm that any number of processes reach over HTTP. */
export interface SharedWorld {
  readonly registry: SandboxRegistry;
  /** `landfall.yaml` for it, with a target `swarm`. */
  readonly config: string;
  /** Every update that the Swarm took, oldest first. */
  readonly updates: readonly Update[];
  /** How many tasks of each service run which image now, as `service image`. */
  running(): Promise<Readonly<Record<string, number>>>;
  stop(): Promise<void>;
}

interface Update {
  readonly service: string;
  readonly digest: Digest;
}

interface ServiceHere {
  readonly name: string;
  readonly image: string;
}

/** @param services with one task each, which run what their image names */
export async function startSharedWorld(
  services: (registry: SandboxRegistry) => readonly ServiceHere[],
  maxParallel: number,
): Promise<SharedWorld> {
  const registry = await startSandboxRegistry();
  const swarm = smallSwarm({
    clock: systemClock,
    timing: { beginMs: 20, pullMs: 50, startMs: 50, stopMs: 50 },
    content: async (what, repository, reference) => {
      const answer = await fetch(`${registry.url}/v2/${pathOf(repository)}/${what}/${reference}`, {
        headers: { accept: Object.values(mediaTypes).join(", ") },
      });
      if (!answer.ok) return undefined;
      const bytes = new Uint8Array(await answer.arrayBuffer());
      return { mediaType: answer.headers.get("content-type") ?? "", bytes };
    },
  });
  for (const { name, image } of services(registry)) {
    const spec = {
      Name: name,
      Labels: {},
      TaskTemplate: { ContainerSpec: { Image: image } },
      Mode: { Replicated: { Replicas: 1 } },
      UpdateConfig: { Parallelism: 1, Monitor: 500_000_000, FailureAction: "pause", Order: "stop-first" },
    };
    const created = await swarm.handle("POST", "/services/create", JSON.stringify(spec));
    if (created.status !== 201) throw new Error(created.body);
  }
  const updates: Update[] = [];
  const engine = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const { method = "GET", url = "/" } = request;
    const answer = await swarm.handle(method, url, body);
    const isUpdate = method === "POST" && url.includes("/update?");
    if (isUpdate && answer.status === 200) updates.push(updateOf(body));
    response.writeHead(answer.status, answer.headers).end(answer.body);
  }).listen(0, "127.0.0.1");
  await once(engine, "listening");

  return {
    registry,
    config: `
follow: ["${registry.host}/acme/*"]
registries: [{ host: "${registry.host}", plainHttp: true }]
targets: [{ name: swarm, kind: swarm, host: "tcp://127.0.0.1:${(engine.address() as AddressInfo).port}" }]
defaults: { maxParallel: ${maxParallel}, verify: { timeout: 1m, stableFor: 1s } }
`,
    updates,
    running: async () => {
      const { services: records, tasks } = await swarm.snapshot();
      const counts: Record<string, number> = {};
      for (const task of tasks) {
        if (task.state !== "running" || task.desired !== "running") continue;
        const service = records.find(({ id }) => id === task.serviceId)?.spec.Name;
        const key = `${service} ${task.template.ContainerSpec.Image}`;
        counts[key] = (counts[key] ?? 0) + 1;
      }
      return counts;
    },
    stop: async () => {
      engine.close();
      engine.closeAllConnections();
      await registry.stop();
    },
  };
}

function updateOf(body: string): Update {
  const { Name, TaskTemplate } = JSON.parse(body) as {
    readonly Name: string;
    readonly TaskTemplate: { readonly ContainerSpec: { readonly Image: string } };
  };
  const parsed = parseReference(TaskTemplate.ContainerSpec.Image);
  if (parsed.kind !== "reference" || parsed.reference.digest === undefined) {
    throw new Error(`${Name} was given ${TaskTemplate.ContainerSpec.Image}, which is not pinned`);
  }
  return { service: Name, digest: parsed.reference.digest };
}
