import { Agent, request } from "node:http";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import { testbed } from "./testbed.ts";

const bed = testbed();
const nsPerMs = 1_000_000;
const pollMs = 300;

/** One service of a test: pinned and bound to a platform as the docker command line would have written it. */
export interface ServiceOptions {
  readonly name: string;
  /** `host/repository:tag@digest`. */
  readonly image: string;
  readonly replicas?: number;
  /** Tasks that are replaced at once, default 1. */
  readonly parallelism?: number;
  /** Default `stop-first`, in which the engine takes 3 s to stop a task, whatever its image does. */
  readonly order?: "stop-first" | "start-first";
  /** How long the engine watches each new task, default 1 s. */
  readonly monitorMs?: number;
  /** What the engine does by itself when a task fails while it watches, default `pause`. */
  readonly failureAction?: "pause" | "rollback" | "continue";
  readonly labels?: Readonly<Record<string, string>>;
  readonly env?: readonly string[];
  /** In place of the image's own command, run by busybox. */
  readonly args?: readonly string[];
  /** Other fields of the container's spec, as the engine names them. */
  readonly container?: object;
  /** Node constraints, e.g. `node.role==manager`. */
  readonly constraints?: readonly string[];
}

/** A task of a service, as the engine tells it. */
export interface Task {
  readonly ID: string;
  readonly Slot: number;
  readonly CreatedAt: string;
  readonly DesiredState: string;
  readonly Spec: { readonly ContainerSpec: { readonly Image: string } };
  readonly Status: {
    readonly Timestamp: string;
    readonly State: string;
    readonly Err?: string;
    readonly ContainerStatus?: { readonly ContainerID?: string };
  };
}

interface InspectedService {
  readonly Version: { readonly Index: number };
  readonly Spec: { readonly TaskTemplate: { readonly ContainerSpec: { readonly Image: string } } };
  readonly UpdateStatus?: { readonly State?: string };
}

/** What the engine told of a service, e.g. `updatestate.new`. */
export interface ServiceEvent {
  readonly service: string;
  readonly timeNs: bigint;
  readonly attributes: Readonly<Record<string, string>>;
}

/** Services by the Engine API: many at once, some ms each. */
export function swarm() {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const socketPath = bed.dockerHost.slice("unix://".length);

  /** The engine's bytes as they are. */
  const callRaw = (method: "GET" | "POST" | "DELETE", path: string, body?: object): Promise<string> =>
    new Promise((resolve, reject) => {
      const headers = { "content-type": "application/json" };
      const asked = request({ agent, socketPath, method, path, headers }, async (response) => {
        try {
          const answer = await text(response);
          if ((response.statusCode ?? 0) < 300) return resolve(answer);
          reject(new Error(`${method} ${path}: ${response.statusCode} ${answer}`));
        } catch (error) {
          reject(error);
        }
      });
      asked.on("error", reject).end(body === undefined ? undefined : JSON.stringify(body));
    });
  const call = async <T>(method: "GET" | "POST" | "DELETE", path: string, body?: object): Promise<T> =>
    JSON.parse((await callRaw(method, path, body)) || "null") as T;

  const tasks = (service: string): Promise<readonly Task[]> =>
    call("GET", `/tasks?filters=${encodeURIComponent(JSON.stringify({ service: [service] }))}`);

  const api = {
    call,
    tasks,

    /** Creates them all and waits until all their tasks run. */
    async create(services: readonly ServiceOptions[], withinMs = 120_000): Promise<void> {
      const { Id: host } = await call<{ readonly Id: string }>("GET", "/networks/host");
      await Promise.all(services.map((each) => call("POST", "/services/create", specOf(each, host))));
      await api.running(services, withinMs);
    },

    /** Waits until each has all its tasks running, of its image. */
    async running(
      services: readonly Pick<ServiceOptions, "name" | "image" | "replicas">[],
      withinMs = 120_000,
    ): Promise<void> {
      let missing: readonly string[] = services.map(({ name }) => name);
      for (const deadline = Date.now() + withinMs; ; await pause(pollMs)) {
        const ready = await Promise.all(
          services.map(async ({ name, image, replicas = 1 }) => {
            if (!missing.includes(name)) return name;
            const running = (await tasks(name)).filter(
              (task) => task.Status.State === "running" && task.Spec.ContainerSpec.Image === image,
            );
            return running.length >= replicas ? name : undefined;
          }),
        );
        missing = missing.filter((name) => !ready.includes(name));
        if (missing.length === 0) return;
        if (Date.now() > deadline) throw new Error(`not running: ${missing.join(", ")}`);
      }
    },

    /** The service as the engine's own bytes have it. */
    inspect: (name: string): Promise<string> => callRaw("GET", `/services/${name}`),

    /** The image that the service's spec names, and the version that the engine raises with every write. */
    async stand(name: string): Promise<{ readonly image: string; readonly mark: string }> {
      const { Version, Spec } = await call<InspectedService>("GET", `/services/${name}`);
      return { image: Spec.TaskTemplate.ContainerSpec.Image, mark: String(Version.Index) };
    },

    /** Waits until the engine's own update is over and one task runs that image, and no other. */
    async settled(name: string, image: string, withinMs = 60_000): Promise<void> {
      for (const deadline = Date.now() + withinMs; ; await pause(pollMs)) {
        const { UpdateStatus } = await call<InspectedService>("GET", `/services/${name}`);
        const running = (await tasks(name)).filter(({ Status }) => Status.State === "running");
        const images = running.map(({ Spec }) => Spec.ContainerSpec.Image);
        const isOver = ["completed", "rollback_completed"].includes(UpdateStatus?.State ?? "completed");
        if (isOver && images.length === 1 && images[0] === image) return;
        if (Date.now() > deadline) throw new Error(`${name}: ${UpdateStatus?.State}, runs ${images}`);
      }
    },

    /** The images (`name@digest`) that the service's containers really run, asked of the containers. */
    async runningImages(name: string): Promise<readonly string[]> {
      const filters = { label: [`com.docker.swarm.service.name=${name}`], status: ["running"] };
      const containers = await call<readonly { readonly Id: string }[]>(
        "GET",
        `/containers/json?filters=${encodeURIComponent(JSON.stringify(filters))}`,
      );
      return Promise.all(
        containers.map(async ({ Id }) => {
          const { Config } = await call<{ readonly Config: { readonly Image: string } }>(
            "GET",
            `/containers/${Id}/json`,
          );
          return Config.Image;
        }),
      );
    },

    /** Writes down what the engine tells of services from now on. */
    async record(): Promise<{ readonly events: readonly ServiceEvent[]; stop(): void }> {
      const events: ServiceEvent[] = [];
      const filters = encodeURIComponent(JSON.stringify({ type: ["service"] }));
      const asked = request({ socketPath, path: `/events?filters=${filters}` });
      await new Promise<void>((resolve, reject) => {
        asked.on("error", reject).end();
        asked.once("response", (response) => {
          // Stopping cuts the answer off.
          const lines = createInterface({ input: response }).on("error", () => {});
          lines.on("line", (line) => {
            const { timeNano, Actor } = JSON.parse(line.replace(/("timeNano":)(\d+)/, '$1"$2"')) as {
              readonly timeNano: string;
              readonly Actor: { readonly Attributes: Readonly<Record<string, string>> };
            };
            const { name = "" } = Actor.Attributes;
            events.push({ service: name, timeNs: BigInt(timeNano), attributes: Actor.Attributes });
          });
          resolve();
        });
      });
      return { events, stop: () => asked.destroy() };
    },

    /** Removes what the engine has pulled of a repository, as far as nothing uses it once tasks have had time to stop. */
    async removeImages(repository: string, withinMs = 10_000): Promise<void> {
      const filters = encodeURIComponent(JSON.stringify({ reference: [repository, `${repository}:*`] }));
      const deadline = Date.now() + withinMs;
      const images = await call<readonly { readonly Id: string }[]>("GET", `/images/json?filters=${filters}`);
      const isGone = ({ Id }: { readonly Id: string }) =>
        call("DELETE", `/images/${Id}?force=true`).then(
          () => true,
          () => false,
        );
      for (const image of images) {
        while (!(await isGone(image)) && Date.now() < deadline) await pause(200);
      }
    },

    /** Removes every service whose name starts so. */
    async remove(prefix: string): Promise<void> {
      const filters = encodeURIComponent(JSON.stringify({ name: [prefix] }));
      const found = await call<readonly { readonly ID: string }[]>("GET", `/services?filters=${filters}`);
      await Promise.all(found.map(({ ID }) => call("DELETE", `/services/${ID}`)));
    },

    close: () => agent.destroy(),
  };
  return api;
}

function specOf(options: ServiceOptions, hostNetwork: string): object {
  const { name, image, replicas = 1, parallelism = 1, monitorMs = 1_000 } = options;
  const { order = "stop-first", failureAction = "pause" } = options;
  const { labels, env, args, container, constraints } = options;
  return {
    Name: name,
    Labels: labels ?? {},
    TaskTemplate: {
      ContainerSpec: {
        Image: image,
        ...(env === undefined ? {} : { Env: env }),
        ...(args === undefined ? {} : { Args: args }),
        // The tasks of these tests have nothing to put in order.
        StopSignal: "SIGKILL",
        StopGracePeriod: 1_000 * nsPerMs,
        ...container,
      },
      Placement: {
        ...(constraints === undefined ? {} : { Constraints: constraints }),
        Platforms: [{ Architecture: "amd64", OS: "linux" }],
      },
      RestartPolicy: { Condition: "any", Delay: 500 * nsPerMs, MaxAttempts: 0 },
      Networks: [{ Target: hostNetwork }],
      ForceUpdate: 0,
      Runtime: "container",
    },
    Mode: { Replicated: { Replicas: replicas } },
    UpdateConfig: {
      Parallelism: parallelism,
      FailureAction: failureAction,
      Monitor: monitorMs * nsPerMs,
      MaxFailureRatio: 0,
      Order: order,
    },
  };
}
