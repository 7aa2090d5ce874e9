import { Agent, type Dispatcher } from "undici";

/** The calls to a registry that a rollout cannot do without, with nothing around them. */
export interface BareRegistry {
  head(repository: string, tag: string): Promise<void>;
  /** The manifest and the configuration that it names: where an image says its platform. */
  platform(repository: string, digest: string): Promise<void>;
  close(): Promise<void>;
}

/** Those to what it deploys to. */
export interface BareTarget {
  list(): Promise<void>;
  /** Reads one, and writes another image into it on top of what was read. */
  write(name: string, image: string): Promise<void>;
  create(workloads: readonly BareWorkload[]): Promise<void>;
  remove(names: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

export interface BareWorkload {
  readonly name: string;
  readonly image: string;
  /** To a platform, as the docker command line does it. */
  readonly bound: boolean;
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

/** @param registry `host:port`, plain HTTP */
export function bareRegistry(registry: string): BareRegistry {
  const agent = new Agent();
  const ask = (method: "GET" | "HEAD", path: string) =>
    bareCall(agent, { origin: `http://${registry}`, path, method, headers: { accept } });

  return {
    head: async (repository, tag) => void (await ask("HEAD", `/v2/${repository}/manifests/${tag}`)),
    async platform(repository, digest) {
      const manifest = JSON.parse((await ask("GET", `/v2/${repository}/manifests/${digest}`)).toString());
      await ask("GET", `/v2/${repository}/blobs/${manifest.config.digest}`);
    },
    close: () => agent.close(),
  };
}

/** @param engine `unix:///…` or `tcp://host:port` */
export function bareSwarm(engine: string): BareTarget {
  const socketPath = engine.startsWith("unix://") ? engine.slice("unix://".length) : undefined;
  const agent = new Agent(socketPath === undefined ? {} : { connect: { socketPath } });
  const origin = socketPath === undefined ? engine.replace(/^tcp:/, "http:") : "http://docker";
  const headers = { "content-type": "application/json" };
  const call = (method: Dispatcher.HttpMethod, path: string, body?: object) =>
    bareCall(agent, {
      origin,
      path,
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
    });

  return {
    list: async () => void (await call("GET", "/services")),
    async write(name, image) {
      const read = JSON.parse((await call("GET", `/services/${name}`)).toString()) as ServiceObject;
      const { ID, Version, Spec } = read;
      const { TaskTemplate } = Spec;
      const ContainerSpec = { ...TaskTemplate.ContainerSpec, Image: image };
      const path = `/services/${ID}/update?version=${Version.Index}`;
      await call("POST", path, { ...Spec, TaskTemplate: { ...TaskTemplate, ContainerSpec } });
    },
    async create(workloads) {
      for (const { name, image, bound } of workloads) {
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
      }
    },
    async remove(names) {
      for (const name of names) await call("DELETE", `/services/${name}`).catch(() => {});
    },
    close: () => agent.close(),
  };
}

/** @throws Error unless it was answered with 2xx */
export async function bareCall(agent: Dispatcher, options: Dispatcher.RequestOptions): Promise<Buffer> {
  const answer = await agent.request(options);
  const bytes = Buffer.from(await answer.body.arrayBuffer());
  if (answer.statusCode > 299) {
    throw new Error(`${options.method} ${options.path}: ${answer.statusCode} ${bytes.toString()}`);
  }
  return bytes;
}
