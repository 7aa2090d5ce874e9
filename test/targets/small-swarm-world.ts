import { createHash } from "node:crypto";
import type { FetchContent } from "../../functions/local/sandbox/swarm/image.ts";
import { type SmallSwarm, smallSwarm } from "../../functions/local/sandbox/swarm/small-swarm.ts";
import { type Digest, printReference, type Reference } from "../../shared/domain/reference.ts";
import type { Platform } from "../../shared/domain/workload.ts";
import type { PublishedImage, WorkloadOptions } from "../contracts/target.ts";
import { type ManualClock, manualClock } from "../doubles/manual-clock.ts";

/** A small swarm on a clock that stands still, with a registry's content behind it. */
export interface SmallSwarmWorld {
  readonly swarm: SmallSwarm;
  readonly clock: ManualClock;
  readonly content: FetchContent;
  publish(
    tag: string,
    behaviour: "runs" | "exits" | "gone",
    platform?: Partial<Platform>,
  ): Promise<PublishedImage>;
  create(
    name: string,
    image: Reference,
    options?: WorkloadOptions & { readonly spec?: object },
  ): Promise<void>;
  /** The service's object, as `GET /services/{name}` gives it. */
  service(name: string): Promise<{
    readonly ID: string;
    readonly Version: { readonly Index: number };
    readonly Spec: object & { readonly Labels?: object };
  }>;
  post(name: string, version: number, spec: object): Promise<number>;
}

export function smallSwarmWorld(): SmallSwarmWorld {
  const clock = manualClock();
  const stored = new Map<string, { readonly mediaType: string; readonly bytes: Uint8Array }>();
  const content: FetchContent = async (_kind, _repository, reference) => stored.get(reference);
  const swarm = smallSwarm({ clock, content });
  let built = 0;

  function store(value: unknown): Digest {
    const bytes = Buffer.from(JSON.stringify(value));
    const digest: Digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    stored.set(digest, { mediaType: "application/vnd.docker.distribution.manifest.v2+json", bytes });
    return digest;
  }

  const world: SmallSwarmWorld = {
    swarm,
    clock,
    content,
    async publish(tag, behaviour, platform) {
      const config = store({
        os: "linux",
        architecture: "amd64",
        ...platform,
        config: { Cmd: behaviour === "exits" ? ["exit", "3", "100"] : ["run"], Labels: { build: ++built } },
      });
      const digest = store({ schemaVersion: 2, config: { digest: config } });
      if (behaviour === "gone") stored.delete(digest);
      return { repository: "reg.example:5000/acme/web", tag, digest };
    },
    async create(name, image, options = {}) {
      const answer = await swarm.handle(
        "POST",
        "/services/create",
        JSON.stringify({
          Name: name,
          Labels: options.labels ?? {},
          TaskTemplate: {
            ContainerSpec: {
              Image: printReference(image),
              ...(options.containerLabels === undefined ? {} : { Labels: options.containerLabels }),
            },
            RestartPolicy: { Condition: "any", Delay: 1_000_000_000 },
          },
          Mode: { Replicated: { Replicas: options.tasks ?? 1 } },
          ...options.spec,
        }),
      );
      if (answer.status !== 201) throw new Error(answer.body);
    },
    async service(name) {
      const answer = await swarm.handle("GET", `/services/${name}`);
      if (answer.status !== 200) throw new Error(answer.body);
      return JSON.parse(answer.body);
    },
    async post(name, version, spec) {
      const path = `/services/${name}/update?version=${version}`;
      return (await swarm.handle("POST", path, JSON.stringify(spec))).status;
    },
  };
  return world;
}
