import { setTimeout as pause } from "node:timers/promises";
import { expect } from "vitest";
import type { Digest } from "../../shared/domain/reference.ts";
import type { Ledger } from "../../shared/ledger/ledger.ts";
import { distributionDelivery, type SampleDelivery } from "../deliveries.ts";
import type { ServiceEvent, swarm } from "./services.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const removedWithinMs = 45_000;
let built = 0;

/** Two services that run one tag of a repository of their own. */
export interface Pair {
  readonly services: readonly [string, string];
  /** `host/repository`. */
  readonly image: string;
  /** Pushes what nobody has pushed before. */
  push(): Promise<Digest>;
  /** As the registry reports that push. */
  delivery(digest: Digest): SampleDelivery;
  remove(): Promise<void>;
}

interface PairOptions {
  readonly engine: ReturnType<typeof swarm>;
  /** What the services' names begin with; theirs end with `-a` and `-b`. */
  readonly name: string;
  /** Path of the repository. */
  readonly repository: string;
  /** What a registry's report is signed with. */
  readonly secret: string;
}

/** Pushes a first image and creates the services, which run it then. */
export async function createPair({ engine, name, repository, secret }: PairOptions): Promise<Pair> {
  const image = `${bed.registry}/${repository}`;
  const services = [`${name}-a`, `${name}-b`] as const;
  const push = () =>
    bed.pushImage(repository, "v1", { labels: { build: `${process.pid}-${Date.now()}-${++built}` } });
  const first = await push();
  await engine.create(
    services.map((service) => ({ name: service, image: `${image}:v1@${first}`, monitorMs: 500 })),
  );
  return {
    services,
    image,
    push,
    delivery: (digest) =>
      distributionDelivery(secret, [{ host: bed.registry, repository, tag: "v1", digest }]),
    async remove() {
      await engine.remove(`${name}-`);
      await noContainers(engine, `${name}-`);
      await engine.removeImages(image);
    },
  };
}

/** Images of containers that are still being removed cannot be removed. */
async function noContainers(engine: ReturnType<typeof swarm>, names: string): Promise<void> {
  const filters = encodeURIComponent(JSON.stringify({ name: [names] }));
  const path = `/containers/json?all=1&filters=${filters}`;
  for (const deadline = Date.now() + removedWithinMs; Date.now() < deadline; await pause(100)) {
    if ((await engine.call<readonly unknown[]>("GET", path)).length === 0) return;
  }
}

interface Seen {
  readonly engine: ReturnType<typeof swarm>;
  /** What the engine has told since the services were created. */
  readonly events: readonly ServiceEvent[];
  readonly ledger: Ledger;
}

/** Each service runs the digest; Docker was told so once, started one task for it, and was told nothing else. */
export async function expectOnce(
  { services }: Pick<Pair, "services">,
  { engine, events, ledger }: Seen,
  digest: Digest,
  when: string,
): Promise<void> {
  for (const service of services) {
    const tasks = await engine.tasks(service);
    const ours = tasks.filter((task) => task.Spec.ContainerSpec.Image.endsWith(`@${digest}`));
    expect(
      ours.map((task) => task.Status.State),
      `tasks of ${service}, ${when}`,
    ).toEqual(["running"]);
    const writes = writesOf(service, events);
    expect(
      writes.filter((to) => to === digest),
      `writes to ${service}, ${when}`,
    ).toHaveLength(1);
    expect(writes.at(-1), when).toBe(digest);
    expect(writes, when).not.toContain("no image");
    const rollouts = (await ledger.rollouts({ workload: `swarm/${service}` }, 10)).map(({ value }) => value);
    const toIt = rollouts.filter(({ to }) => to[service]?.digest === digest);
    expect(
      toIt.map(({ state }) => state),
      `rollouts of ${service}, ${when}`,
    ).toEqual(["succeeded"]);
    expect(rollouts[0], when).toBe(toIt[0]);
  }
  const heard = await ledger.events({ nowMs: Date.now() }, 1_000);
  expect(heard.filter(({ value }) => value.state !== "done")).toEqual([]);
}

/** Digests that Docker was told to bring a service to, in order; what came with its creation is left out. */
export function writesOf(service: string, events: readonly ServiceEvent[]): readonly string[] {
  const writes = events
    .filter((event) => event.service === service && isWrite(event))
    .map(({ attributes }) => attributes["image.new"]?.split("@")[1] ?? "no image");
  return writes.slice(writes.findIndex((to) => to !== "no image"));
}

/** What the engine tells of an update's progress is not a write. */
function isWrite({ attributes }: ServiceEvent): boolean {
  return Object.keys(attributes).every((key) => !key.startsWith("updatestate."));
}
