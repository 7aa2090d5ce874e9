import { randomBytes } from "node:crypto";
import type { Digest, Repository } from "../../shared/domain/reference.ts";
import type { Rollout } from "../../shared/domain/rollout.ts";
import type { WorkloadId } from "../../shared/domain/workload.ts";
import { distributionDelivery } from "../deliveries.ts";
import { until } from "./built-line.ts";
import { cluster } from "./cluster.ts";
import type { Landfall } from "./landfall.ts";
import { type ServiceOptions, swarm } from "./services.ts";
import { type ImageBehaviour, testbed } from "./testbed.ts";

const bed = testbed();
const patienceMs = 200_000;
export const secret = "the-secret-of-workloads-that-follow";

/** A workload of one of the systems, on a repository of its own whose tag `v1` it follows. */
export interface Follower {
  readonly id: WorkloadId;
  readonly name: string;
  readonly repository: Repository;
  /** What it was created with. */
  readonly first: Digest;
  /** Pushes under the tag, or under another one. */
  push(behaviour?: ImageBehaviour, tag?: string): Promise<Digest>;
  /** Reports a push of the tag; the event. */
  deliver(digest: Digest): Promise<string>;
  /** Takes an image away from the registry. */
  remove(digest: Digest | undefined): Promise<void>;
  /** What its own object names. */
  image(): Promise<Digest | undefined>;
  /** What its tasks really run, ready to serve. */
  running(): Promise<readonly (Digest | undefined)[]>;
}

export interface FollowerOptions {
  /** Where nodes pull from, if not from the registry itself. */
  readonly host?: string;
  readonly tag?: string;
  readonly service?: Partial<ServiceOptions>;
  readonly kind?: "Deployment" | "StatefulSet";
  readonly spec?: object;
  readonly pod?: object;
}

/** Services and workloads whose names begin so, in a Swarm and in a namespace of a cluster. */
export function followers(name: string) {
  const run = randomBytes(3).toString("hex");
  const prefix = `${name}-${run}-`;
  const path = `${name}/${run}`;
  const engine = swarm();
  const k8s = cluster(name);
  const [space] = k8s.namespaces;
  let built = 0;
  /** A test that is tried once more finds nothing of its first try. */
  let made = 0;

  const followed = (at: string, { host = bed.registry, tag = "v1" }: FollowerOptions) => {
    const repository: Repository = `${host}/${path}/${at}`;
    return {
      repository,
      image: `${repository}:${tag}` as const,
      push: (behaviour: ImageBehaviour = {}, under = tag) =>
        bed.pushImage(`${path}/${at}`, under, { labels: { build: `${run} ${++built}` }, ...behaviour }),
    };
  };
  const followerAt = (
    { repository, push }: ReturnType<typeof followed>,
    own: Pick<Follower, "id" | "name" | "first" | "image" | "running">,
    landfall: () => Landfall,
  ): Follower => {
    const slash = repository.indexOf("/");
    const [host, inside] = [repository.slice(0, slash), repository.slice(slash + 1)];
    return {
      ...own,
      repository,
      push,
      deliver: (digest) =>
        landfall().deliver(distributionDelivery(secret, [{ host, repository: inside, tag: "v1", digest }])),
      async remove(digest) {
        if (digest === undefined) throw new Error("nothing was pushed");
        await bed.deleteManifest(inside, digest);
      },
    };
  };

  return {
    engine,
    k8s,
    space,
    prefix,
    /** What `follow` of a configuration says. */
    follow: `*/${path}/*`,

    async open(): Promise<void> {
      await k8s.open();
      await bed.kubectl("-n", space, "create", "role", "pods", "--verb=delete", "--resource=pods");
      await bed.kubectl("-n", space, "create", "rolebinding", "pods", "--role=pods", "--user=landfall");
    },

    async close(): Promise<void> {
      await k8s.close();
      await engine.remove(prefix);
      await engine.removeImages(`${bed.registry}/${path}/*`);
      engine.close();
    },

    async service(landfall: () => Landfall, what: string, options: FollowerOptions = {}): Promise<Follower> {
      const name = `${what}-${++made}`;
      const at = followed(`s-${name}`, options);
      const first = await at.push();
      const full = `${prefix}${name}`;
      const image = `${at.image}@${first}`;
      await engine.create([{ name: full, image, monitorMs: 3_000, ...options.service }]);
      return followerAt(
        at,
        {
          id: `swarm/${full}`,
          name: full,
          first,
          image: async () => {
            const { Spec } = JSON.parse(await engine.inspect(full)) as {
              readonly Spec: {
                readonly TaskTemplate: { readonly ContainerSpec: { readonly Image: string } };
              };
            };
            return digestIn(Spec.TaskTemplate.ContainerSpec.Image);
          },
          running: async () => (await engine.runningImages(full)).map(digestIn),
        },
        landfall,
      );
    },

    async workload(landfall: () => Landfall, what: string, options: FollowerOptions = {}): Promise<Follower> {
      const name = `${what}-${++made}`;
      const { kind = "Deployment", spec, pod, tag = "v1" } = options;
      const at = followed(`k-${name}`, options);
      const first = await at.push();
      const lower = kind.toLowerCase();
      await k8s.create(space, {
        kind,
        name,
        image: { repository: at.repository, tag, digest: first },
        spec: spec ?? {},
        pod: { terminationGracePeriodSeconds: 0, ...pod },
      });
      await k8s.rolledOut(space, `${lower}/${name}`);
      return followerAt(
        at,
        {
          id: `edge/${space}/${lower}/${name}`,
          name,
          first,
          image: async () => {
            const read = await k8s.read(space, lower, name);
            return digestIn(read.spec.template.spec.containers[0]?.image ?? "");
          },
          running: async () =>
            (await k8s.pods(space, name))
              .filter(({ metadata, status }) => {
                const ready = status.conditions?.find((each) => each.type === "Ready");
                return metadata.deletionTimestamp === undefined && ready?.status === "True";
              })
              .map((each) => digestIn(each.spec.containers[0]?.image ?? "")),
        },
        landfall,
      );
    },
  };
}

export function digestIn(image: string): Digest | undefined {
  const digest = image.split("@")[1];
  return digest?.startsWith("sha256:") ? (digest as Digest) : undefined;
}

/** What the ledger says of a follower, in few words. */
export function recordsOf(landfall: () => Landfall) {
  const documentOf = async ({ id }: Pick<Follower, "id">) =>
    (await landfall().ledger.get("workloads", id))?.value;
  /** Oldest first. */
  const rolloutsOf = async ({ id }: Pick<Follower, "id">): Promise<readonly Rollout[]> =>
    (await landfall().ledger.rollouts({ workload: id }, 50)).map(({ value }) => value).toReversed();
  return {
    documentOf,
    rolloutsOf,
    statesOf: async (own: Pick<Follower, "id">) => (await rolloutsOf(own)).map(({ state }) => state),
    holdsOf: async (own: Pick<Follower, "id">): Promise<readonly Digest[]> =>
      (await documentOf(own))?.holds.map(({ digest }) => digest) ?? [],

    /** Waits for the first rollout of which that is so. */
    async rolloutOf(own: Follower, what: string, is: (rollout: Rollout) => boolean): Promise<Rollout> {
      const found: Rollout[] = [];
      const met = async () => {
        found.push(...(await rolloutsOf(own)).filter(is));
        return found.length > 0;
      };
      await until(landfall(), `${own.id} ${what}`, met, 300, patienceMs);
      return found[0] as Rollout;
    },

    /** Waits until nothing is open and every task runs it, by the target's own word. */
    async runs(own: Follower, digest: Digest | undefined): Promise<void> {
      const met = async () => {
        const document = await documentOf(own);
        if (document === undefined || document.open !== undefined || (await own.image()) !== digest) {
          return false;
        }
        const running = await own.running();
        return running.length > 0 && running.every((each) => each === digest);
      };
      await until(landfall(), `${own.id} runs ${digest}`, met, 500, patienceMs);
    },

    /** How its rollouts went on since one had failed. */
    async tell(own: Follower, failed: Rollout): Promise<void> {
      const sinceMs = failed.times.finished ?? 0;
      const story = (await rolloutsOf(own)).map(
        ({ seq, cause, state, times }) =>
          `${seq} ${cause.kind} ${state} +${(times.finished ?? Number.NaN) - sinceMs}`,
      );
      console.log(`${own.id}: ${failed.reason?.slice(0, 160)}\n  ${story.join(", ")} ms`);
    },
  };
}
