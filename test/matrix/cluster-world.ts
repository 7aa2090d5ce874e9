import type { Message } from "../../shared/bus/bus.ts";
import type { Digest, Repository } from "../../shared/domain/reference.ts";
import { TargetUnavailableError } from "../../shared/errors.ts";
import { type FlowDeps, newBudget } from "../../shared/flows/deps.ts";
import { fullRun } from "../../shared/flows/full-run.ts";
import { sweep } from "../../shared/flows/sweep.ts";
import { kubernetesTarget } from "../../shared/targets/kubernetes/kubernetes.ts";
import type { Look } from "../../shared/targets/target.ts";
import { deploymentController, type ImageBehaviour } from "../doubles/deployment-controller.ts";
import { kubernetesApi } from "../doubles/kubernetes-api.ts";
import { digestOf, type World, world } from "../flows/world.ts";
import { fixed } from "../targets/small-cluster.ts";

/** What the cluster's one workload was asked for and told, in order. */
export type Seen =
  | { readonly kind: "look"; readonly atMs: number; readonly look: Look }
  | { readonly kind: "write"; readonly atMs: number; readonly images: Readonly<Record<string, Digest>> };

/** The flows over an API server of Kubernetes and its controller, all on one clock that a test moves. */
export interface ClusterWorld {
  readonly here: World;
  readonly deps: FlowDeps;
  readonly seen: readonly Seen[];
  /** What an image does, by the letter of its digest; may be changed at any time. */
  readonly behaviours: Map<string, ImageBehaviour>;
  /** Calls of the target fail, as if nobody listened. */
  isAway: boolean;
  /** A Deployment whose containers run v1 of `acme/NAME` at a letter's digest. */
  deploy(containers: Readonly<Record<string, string>>, replicas: number): Promise<void>;
  /** A tag of `acme/NAME` moves to a letter's digest, and its message is delivered. */
  push(letter: string, name?: string): Promise<void>;
  hear(event: string, name?: string): Message;
  deliver(message: Message): Promise<void>;
  /** Delivers and sweeps each minute until nothing is open. */
  carryOn(): Promise<void>;
  /** So many sweeps, one a minute. */
  minutes(count: number): Promise<void>;
  /** A full run: the verdict and reason of each row. */
  compare(): Promise<readonly string[]>;
  /** What each container's spec names, as letters, and how many pods are ready. */
  stands(): { readonly images: Readonly<Record<string, string>>; readonly ready: number };
  history(): Promise<readonly string[]>;
  record(): ReturnType<typeof recordOf>;
  close(): Promise<void>;
}

const workload = "k8s/shop/deployment/web";
const path = "/apis/apps/v1/namespaces/shop/deployments/web";
const minuteMs = 60_000;

export async function clusterWorld(): Promise<ClusterWorld> {
  const api = await kubernetesApi();
  const behaviours = new Map<string, ImageBehaviour>();
  const letters = new Map<string, string>();
  const digest = (letter: string): Digest => {
    letters.set(digestOf(letter), letter);
    return digestOf(letter);
  };
  const letterOf = (image: string) => letters.get(image.slice(image.indexOf("@") + 1)) ?? image;
  const controller = deploymentController(api, (image) => behaviours.get(letterOf(image)) ?? "runs");
  const here = world({ workloads: [] });
  const catchUp = () => {
    while (api.nowMs < here.clock.now()) controller.step();
  };
  const inner = kubernetesTarget({
    name: "k8s",
    namespaces: ["shop"],
    access: fixed({ server: api.server, headers: {} }),
    clock: here.clock,
  });
  const seen: Seen[] = [];
  const reached = async <T>(call: () => Promise<T>): Promise<T> => {
    catchUp();
    if (self.isAway) throw new TargetUnavailableError("nobody listens");
    return call();
  };
  const deps: FlowDeps = {
    ...here.instance(),
    verify: { timeoutMs: 120_000, stableForMs: 15_000 },
    targets: [
      {
        mode: "act",
        target: {
          ...inner,
          list: () => reached(() => inner.list()),
          get: (name) => reached(() => inner.get(name)),
          look: async (name) => {
            const look = await reached(() => inner.look(name));
            if (look !== undefined) seen.push({ kind: "look", atMs: here.clock.now(), look });
            return look;
          },
          update: async (found, change) => {
            const outcome = await reached(() => inner.update(found, change));
            const images = Object.entries(change.images).flatMap(([name, image]) =>
              image.digest === undefined ? [] : [[name, image.digest] as const],
            );
            if (outcome.kind === "accepted")
              seen.push({ kind: "write", atMs: here.clock.now(), images: Object.fromEntries(images) });
            return outcome;
          },
        },
      },
    ],
  };
  const repository = (name: string): Repository => `docker.io/acme/${name}`;
  const round = async () => {
    for (const message of here.undelivered.splice(0)) await here.deliver(message, deps, true);
    here.clock.set(here.clock.now() + minuteMs);
    await sweep(deps, newBudget(here.clock));
  };

  const self: ClusterWorld = {
    here,
    deps,
    seen,
    behaviours,
    isAway: false,
    deploy: async (containers, replicas) => {
      const app = { app: "web" };
      for (const [name, letter] of Object.entries(containers)) {
        here.registry.push(repository(name), "v1", digest(letter));
      }
      api.put(path, {
        kind: "Deployment",
        apiVersion: "apps/v1",
        metadata: { labels: app },
        spec: {
          replicas,
          minReadySeconds: 1,
          selector: { matchLabels: app },
          template: {
            metadata: { labels: app },
            spec: {
              containers: Object.entries(containers).map(([name, letter]) => ({
                name,
                image: `acme/${name}:v1@${digest(letter)}`,
              })),
            },
          },
        },
      });
      here.clock.set(here.clock.now() + 10_000);
      catchUp();
    },
    push: async (letter, name = "web") => {
      here.registry.push(repository(name), "v1", digest(letter));
      await self.deliver(self.hear(`push of ${name} ${letter}`, name));
    },
    hear: (event, name = "web") => {
      const message = here.hear(event);
      return message.kind === "push"
        ? { ...message, push: { ...message.push, repository: `acme/${name}` } }
        : message;
    },
    deliver: (message) => here.deliver(message, deps),
    carryOn: async () => {
      for (let rounds = 0; rounds < 60; rounds++) {
        if (here.undelivered.length === 0 && (await here.ledger.due(Number.MAX_SAFE_INTEGER, 1)).length === 0)
          return;
        await round();
      }
      throw new Error(`nothing comes to rest: ${JSON.stringify(await self.record())}`);
    },
    minutes: async (count) => {
      for (let minute = 0; minute < count; minute++) await round();
    },
    compare: async () => {
      const order = { dryRun: false, adopt: false, by: "test" };
      const done = await fullRun(deps, order, newBudget(here.clock));
      if (done.kind === "busy") throw new Error("another full run is under way");
      await self.carryOn();
      return (done.rows ?? []).map(({ verdict, reason }) => `${verdict}: ${reason}`);
    },
    stands: () => {
      catchUp();
      const found = api.find(path) as unknown as Standing;
      const { containers } = found.spec.template.spec;
      const images = Object.fromEntries(containers.map(({ name, image }) => [name, letterOf(image)]));
      return { images, ready: found.status?.readyReplicas ?? 0 };
    },
    history: async () => {
      const rollouts = await here.ledger.rollouts({}, 100);
      return rollouts.map(({ value }) => `${value.cause.kind} ${value.state}: ${value.reason}`).toReversed();
    },
    record: () => recordOf(here),
    close: async () => {
      await inner.close();
      await here.close();
      await api.close();
    },
  };
  return self;
}

interface Standing {
  readonly spec: {
    readonly template: {
      readonly spec: { readonly containers: readonly { readonly name: string; readonly image: string }[] };
    };
  };
  readonly status?: { readonly readyReplicas?: number };
}

async function recordOf(here: World) {
  const stored = await here.ledger.get("workloads", workload);
  if (stored === undefined) throw new Error(`${workload} is not on record`);
  return stored.value;
}
