import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Clock } from "../../../shared/clock.ts";
import type { Digest } from "../../../shared/domain/reference.ts";
import { headerOf, httpClient } from "../../../shared/http.ts";
import { startSandboxRegistry } from "./registry/registry.ts";
import type { RegistryState } from "./registry/store.ts";
import type { FetchContent } from "./swarm/image.ts";
import { smallSwarm } from "./swarm/small-swarm.ts";
import type { SwarmState } from "./swarm/state.ts";
import { startSandboxSwarmpit } from "./swarmpit/swarmpit.ts";

export interface SandboxOptions {
  readonly clock: Clock;
  /** 0: any free one. */
  readonly registryPort: number;
  /** Where pushes are reported to, as soon as somebody listens there: the webhook's URL. */
  readonly notify: () => string | undefined;
  /** Where the state is kept between runs; absent: nowhere. */
  readonly stateFile?: string;
}

/** A small world to deploy to: a registry, a swarm with two services, a Swarmpit in front of it. */
export interface Sandbox {
  readonly registryHost: string;
  readonly swarmpitUrl: string;
  readonly swarmpitToken: string;
  /** The tag that the sandbox's services run, e.g. `acme/web:v1`. */
  readonly image: string;
  /** How many services run it. */
  readonly services: number;
  /** Pushes new content under `image`. */
  push(): Digest;
  save(): Promise<void>;
  stop(): Promise<void>;
}

interface SavedState {
  /** The registry's host as the services name it: of no use under another port. */
  readonly host: string;
  readonly registry: RegistryState;
  readonly swarm: SwarmState;
}

const repository = "acme/web";
const tag = "v1";
const services = [
  { name: "web", replicas: 2 },
  { name: "web-worker", replicas: 1 },
];

export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const { clock, stateFile } = options;
  const saved = stateFile === undefined ? undefined : readState(stateFile, options.registryPort);
  const http = httpClient();
  const registry = await startSandboxRegistry({
    port: options.registryPort,
    ...(saved === undefined ? {} : { state: saved.registry }),
    onPush: (envelope) => {
      const url = options.notify();
      if (url === undefined || envelope.events.every((event) => event.target.tag === undefined)) return;
      const body = JSON.stringify(envelope);
      const headers = { "content-type": "application/vnd.docker.distribution.events.v2+json" };
      // As Distribution does it: beside the push, and the push does not wait.
      void http
        .request({ method: "POST", url, headers, body, deadlineMs: 5_000, maxBytes: 65_536 })
        .catch(() => {});
    },
  });
  const content: FetchContent = async (kind, image, reference) => {
    const path = image.slice(image.indexOf("/") + 1);
    const answer = await http.request({
      method: "GET",
      url: `${registry.url}/v2/${path}/${kind}/${reference}`,
      headers: { accept: manifestTypes, "user-agent": "docker/sandbox" },
      deadlineMs: 5_000,
      maxBytes: 64 * 1024 * 1024,
    });
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw new Error(`the registry answered ${answer.status}`);
    return { mediaType: headerOf(answer, "content-type") ?? "", bytes: answer.body };
  };
  const swarm = smallSwarm({ clock, content, ...(saved === undefined ? {} : { state: saved.swarm }) });
  const swarmpit = await startSandboxSwarmpit({
    engine: (method, path, body, headers) => swarm.handle(method, path, body, headers),
    registryAccounts: [{ url: registry.url, public: true }],
    clock,
  });
  if (saved === undefined) {
    const digest = registry.push(repository, tag);
    for (const { name, replicas } of services) await createService(name, replicas, digest);
  }

  async function createService(name: string, replicas: number, digest: Digest): Promise<void> {
    const spec = {
      Name: name,
      Labels: {},
      TaskTemplate: { ContainerSpec: { Image: `${registry.host}/${repository}:${tag}@${digest}` } },
      Mode: { Replicated: { Replicas: replicas } },
      UpdateConfig: { Parallelism: 1, Monitor: 1_000_000_000, FailureAction: "pause", Order: "stop-first" },
    };
    const answer = await swarm.handle("POST", "/services/create", JSON.stringify(spec));
    if (answer.status !== 201) throw new Error(`the sandbox's swarm refused ${name}: ${answer.body}`);
  }

  const save = async () => {
    if (stateFile === undefined) return;
    writeState(stateFile, {
      host: registry.host,
      registry: registry.snapshot(),
      swarm: await swarm.snapshot(),
    });
  };
  await save();

  return {
    registryHost: registry.host,
    swarmpitUrl: swarmpit.url,
    swarmpitToken: swarmpit.token(),
    image: `${repository}:${tag}`,
    services: services.length,
    push: () => registry.push(repository, tag),
    save,
    stop: async () => {
      await save();
      await swarmpit.close();
      await registry.stop();
      await http.close();
    },
  };
}

const manifestTypes = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

function readState(path: string, port: number): SavedState | undefined {
  try {
    const state = JSON.parse(readFileSync(path, "utf8")) as SavedState;
    return state.host === `127.0.0.1:${port}` ? state : undefined;
  } catch {
    return undefined;
  }
}

/** Whole or not at all: a process may be killed in the middle of it. */
function writeState(path: string, state: SavedState): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, JSON.stringify(state));
  renameSync(`${path}.new`, path);
}
