import { Agent, type Dispatcher } from "undici";
import type { Systems } from "./systems.ts";

/** The calls that a rollout cannot do without, with nothing around them. */
export interface BareCalls {
  head(repository: string, tag: string): Promise<void>;
  /** The manifest and the configuration that it names: where an image says its platform. */
  platform(repository: string, digest: string): Promise<void>;
  list(): Promise<void>;
  /** The service's object as it is now. */
  get(service: string): Promise<ServiceObject>;
  /** Writes another image into the service on top of what was read. */
  update(read: ServiceObject, image: string): Promise<void>;
  create(name: string, image: string, bound: boolean): Promise<void>;
  remove(name: string): Promise<void>;
  close(): Promise<void>;
}

interface ServiceObject {
  readonly ID: string;
  readonly Version: { readonly Index: number };
  readonly Spec: { readonly TaskTemplate: { readonly ContainerSpec: object } };
}

const accept = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

export function bareCalls({ registry, engine }: Systems): BareCalls {
  const toRegistry = new Agent();
  const socketPath = engine.startsWith("unix://") ? engine.slice("unix://".length) : undefined;
  const toEngine = new Agent(socketPath === undefined ? {} : { connect: { socketPath } });
  const engineOrigin = socketPath === undefined ? engine.replace(/^tcp:/, "http:") : "http://docker";

  async function call(method: Dispatcher.HttpMethod, path: string, body?: object): Promise<Buffer> {
    const answer = await toEngine.request({
      origin: engineOrigin,
      path,
      method,
      headers: { "content-type": "application/json" },
      body: body === undefined ? null : JSON.stringify(body),
    });
    const bytes = Buffer.from(await answer.body.arrayBuffer());
    if (answer.statusCode > 299)
      throw new Error(`${method} ${path}: ${answer.statusCode} ${bytes.toString()}`);
    return bytes;
  }

  async function ask(method: "GET" | "HEAD", path: string): Promise<Buffer> {
    const answer = await toRegistry.request({
      origin: `http://${registry}`,
      path,
      method,
      headers: { accept },
    });
    const bytes = Buffer.from(await answer.body.arrayBuffer());
    if (answer.statusCode !== 200) throw new Error(`${method} ${path}: ${answer.statusCode}`);
    return bytes;
  }

  return {
    head: async (repository, tag) => void (await ask("HEAD", `/v2/${repository}/manifests/${tag}`)),
    async platform(repository, digest) {
      const manifest = JSON.parse((await ask("GET", `/v2/${repository}/manifests/${digest}`)).toString());
      await ask("GET", `/v2/${repository}/blobs/${manifest.config.digest}`);
    },
    list: async () => void (await call("GET", "/services")),
    get: async (service) => JSON.parse((await call("GET", `/services/${service}`)).toString()),
    async update({ ID, Version, Spec }, image) {
      const { TaskTemplate } = Spec;
      const ContainerSpec = { ...TaskTemplate.ContainerSpec, Image: image };
      const path = `/services/${ID}/update?version=${Version.Index}`;
      await call("POST", path, { ...Spec, TaskTemplate: { ...TaskTemplate, ContainerSpec } });
    },
    async create(name, image, bound) {
      await call("POST", "/services/create", {
        Name: name,
        Labels: { "com.docker.stack.namespace": "bench" },
        TaskTemplate: {
          ContainerSpec: { Image: image, Env: ["LOG_LEVEL=info", "PORT=8080"] },
          ...(bound ? { Placement: { Platforms: [{ OS: "linux", Architecture: "amd64" }] } } : {}),
        },
        // An update is accepted alike, and no node is kept busy by what is not measured.
        Mode: { Replicated: { Replicas: 0 } },
        UpdateConfig: { Parallelism: 1, Monitor: 1_000_000, FailureAction: "pause" },
      });
    },
    remove: async (name) => void (await call("DELETE", `/services/${name}`)),
    close: async () => {
      await Promise.all([toRegistry.close(), toEngine.close()]);
    },
  };
}
