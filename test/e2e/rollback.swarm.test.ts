import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Digest } from "../../shared/domain/reference.ts";
import { distributionDelivery } from "../deliveries.ts";
import { ask, callers, reconcile } from "./asking.ts";
import { until } from "./built-line.ts";
import { type Landfall, startLandfall } from "./landfall.ts";
import { writesOf } from "./pair.ts";
import { type ServiceEvent, type ServiceOptions, swarm, type Task } from "./services.ts";
import { type ImageBehaviour, testbed } from "./testbed.ts";

const bed = testbed();
const engine = swarm();
const run = randomBytes(3).toString("hex");
const prefix = `e2e-rollback-${run}-`;
const path = `e2e-rollback/${run}`;
const repository = `${bed.registry}/${path}`;
const secret = "the-secret-of-a-rollback";
/** Long enough to see what exits every 8 s, however busy the machine is. */
const stableForMs = 15_000;
const sleeps = ["sh", "-c", "exec /bin/busybox sleep 1000000"];

interface Failure {
  readonly name: string;
  /** Tag, and part of the services' names. */
  readonly tag: string;
  readonly bad: ImageBehaviour;
  readonly monitorMs: number;
  /** What Landfall says of it where the engine only pauses. */
  readonly reason: RegExp;
  readonly container?: object;
  /** The engine sees it while it watches. */
  readonly isSeen: boolean;
}

const failures: readonly Failure[] = [
  {
    name: "exits at once",
    tag: "at-once",
    bad: { cmd: ["sh", "-c", "exit 3"] },
    monitorMs: 4_000,
    reason: /non-zero exit \(3\)/,
    isSeen: true,
  },
  {
    name: "exits after 8 s",
    tag: "after",
    bad: { cmd: ["sh", "-c", "sleep 8; exit 3"] },
    monitorMs: 10_000,
    reason: /non-zero exit \(3\)/,
    isSeen: true,
  },
  {
    name: "exits every 8 s, when the engine has done watching",
    tag: "every",
    bad: { cmd: ["sh", "-c", "sleep 8; exit 3"] },
    monitorMs: 500,
    reason: /do not stay up.*non-zero exit \(3\)/,
    isSeen: false,
  },
  {
    name: "is never healthy",
    tag: "unhealthy",
    bad: { env: ["HEALTH=bad"] },
    container: {
      Healthcheck: {
        Test: ["CMD", "/bin/busybox", "sh", "-c", '[ "$HEALTH" != bad ]'],
        Interval: 500_000_000,
        // A busy machine takes its time to start a check: a good image must not fail for that.
        Timeout: 20_000_000_000,
        Retries: 2,
      },
    },
    monitorMs: 4_000,
    reason: /unhealthy/,
    isSeen: true,
  },
  {
    name: "cannot be started",
    tag: "start",
    bad: { entrypoint: ["/nope"], cmd: [] },
    monitorMs: 4_000,
    reason: /nope/,
    isSeen: true,
  },
];

interface Case {
  readonly name: string;
  readonly failure: Failure;
  readonly service: string;
  readonly replicas: number;
  readonly failureAction: "pause" | "rollback";
}

const cases = failures.flatMap((failure) =>
  ([1, 3] as const).flatMap((replicas) =>
    (["pause", "rollback"] as const).map((failureAction): Case => {
      const service = `${prefix}${failure.tag}-${replicas}-${failureAction}`;
      const tasks = replicas === 1 ? "one task" : `${replicas} tasks`;
      return {
        name: `that ${failure.name}: ${tasks}, failure action ${failureAction}`,
        failure,
        service,
        replicas,
        failureAction,
      };
    }),
  ),
);
const tags = failures.map(({ tag }) => tag);
const bystander = `${prefix}bystander`;

let landfall: Landfall;
let recorder: Awaited<ReturnType<typeof engine.record>>;
let good: ReadonlyMap<string, Digest>;
let bad: ReadonlyMap<string, Digest>;
let badEvents: readonly string[];

beforeAll(async () => {
  good = await pushAll({}, "good");
  const startingMs = Date.now();
  await engine.create([
    ...cases.map(({ service, failure, replicas, failureAction }): ServiceOptions => {
      const { tag, monitorMs, container } = failure;
      const image = `${repository}:${tag}@${good.get(tag)}`;
      const more = container === undefined ? {} : { container };
      return { name: service, image, replicas, parallelism: replicas, monitorMs, failureAction, ...more };
    }),
    { name: bystander, image: `${repository}:at-once@${good.get("at-once")}`, args: sleeps },
  ]);
  const createdMs = Date.now();
  recorder = await engine.record();
  landfall = await startLandfall({ config: configuration() });
  bad = await pushAll(Object.fromEntries(failures.map((each) => [each.tag, each.bad])), "bad");
  badEvents = await deliver(bad);
  await settled("the bad images are gone");
  console.log(`created in ${createdMs - startingMs} ms, bad and back after ${Date.now() - createdMs} ms`);
}, 500_000);

afterAll(async () => {
  recorder?.stop();
  await landfall?.remove();
  await engine.remove(prefix);
  await engine.removeImages(repository);
  engine.close();
}, 120_000);

describe("an image, on a Docker Swarm,", () => {
  it.each(cases)("$name", async (each) => {
    const { service, replicas, failure, failureAction } = each;
    const goodImage = imageOf(failure, good);
    const spec = await specOf(service);
    expect(spec.image).toBe(goodImage);
    expect(await engine.runningImages(service)).toEqual(Array(replicas).fill(goodImage));
    const [failed, undoing] = await rolloutsOf(service);
    expect(failed).toMatchObject({ seq: 1, state: "rolled-back", blame: "image" });
    expect(failed?.reason).toMatch(failure.reason);
    // Where the engine went back first there is nothing to write, and its own rollback brings the labels back too.
    const [first, ...back] = writesOf(service, recorder.events);
    expect([first, spec.seq]).toEqual([bad.get(failure.tag), back.length === 0 ? undefined : "2"]);
    if (failureAction === "pause" || !failure.isSeen) expect(undoing).toMatchObject({ seq: 2 });
    if (failureAction === "pause") expect(back).toEqual([good.get(failure.tag)]);
    expect(back.length).toBeLessThanOrEqual(1);
    expect(await heldBy(service)).toEqual([bad.get(failure.tag)]);
    console.log(await timesOf(each));
  });

  it("that fails for some runs on where it does not", async () => {
    expect(await engine.runningImages(bystander)).toEqual([`${repository}:at-once@${bad.get("at-once")}`]);
    expect(await heldBy(bystander)).toEqual([]);
  });

  it("that failed is left alone by full runs, by the same report once more and by its replay", async () => {
    const before = await facts();
    const rows = await reconcile(landfall, { mode: "full" });
    const own = rows.filter(({ workload }) => cases.some(({ service }) => workload === `prod/${service}`));
    expect(own.map(({ verdict }) => verdict)).toEqual(own.map(() => "skipped"));
    expect(own.map(({ reason }) => reason?.split(":")[0])).toEqual(own.map(() => "held"));
    expect(own).toHaveLength(cases.length);
    await deliver(bad);
    for (const of of badEvents) expect(await ask(landfall, { do: "replay", of })).toMatch(/^ordered: /);
    await reconcile(landfall, { mode: "sweep" });
    await reconcile(landfall, { mode: "full" });
    await until(landfall, "all events are done", async () =>
      (await landfall.events()).every(({ state }) => state === "done"),
    );
    expect(await facts()).toEqual(before);
  });

  it("that is newer goes out, and lifts what was held", async () => {
    const newer = await pushAll({}, "newer");
    await deliver(newer);
    const met = async () => {
      const newest = await Promise.all(cases.map(async ({ service }) => (await rolloutsOf(service)).at(-1)));
      return newest.every((each) => each?.state === "succeeded" && isOf(newer, each.to));
    };
    await until(landfall, "the newer images run", met, 500, 240_000);
    for (const { service, failure, replicas } of cases) {
      expect(await engine.runningImages(service)).toEqual(Array(replicas).fill(imageOf(failure, newer)));
      expect(await heldBy(service)).toEqual([]);
    }
  }, 300_000);
});

function configuration(): object {
  return {
    follow: [repository],
    webhooks: [{ source: "distribution", secrets: [secret] }],
    registries: [{ host: bed.registry, plainHttp: true }],
    targets: [{ name: "prod", kind: "swarm", host: bed.dockerHost }],
    defaults: { maxParallel: 50, verify: { timeout: "3m", stableFor: `${stableForMs / 1_000}s` } },
    reconcile: callers,
  };
}

/** An image for each tag. @param behaviours by tag; others run for ever */
async function pushAll(
  behaviours: Readonly<Record<string, ImageBehaviour>>,
  build: string,
): Promise<ReadonlyMap<string, Digest>> {
  const images = new Map<string, Digest>();
  // One after the other: the registry takes the same layer only once at a time.
  for (const tag of tags) {
    images.set(
      tag,
      await bed.pushImage(path, tag, { labels: { build: `${run} ${build}` }, ...behaviours[tag] }),
    );
  }
  return images;
}

/** Reports all of them; the events. */
function deliver(images: ReadonlyMap<string, Digest>): Promise<readonly string[]> {
  return Promise.all(
    [...images].map(([tag, digest]) =>
      landfall.deliver(distributionDelivery(secret, [{ host: bed.registry, repository: path, tag, digest }])),
    ),
  );
}

/** Waits until each service has had a rollout, and none is open. */
function settled(what: string): Promise<void> {
  const met = async () => {
    const workloads = await landfall.workloads();
    return (
      workloads.length === cases.length + 1 &&
      workloads.every(({ seq, open }) => seq > 0 && open === undefined)
    );
  };
  return until(landfall, what, met, 500, 240_000);
}

function imageOf({ tag }: Failure, images: ReadonlyMap<string, Digest>): string {
  return `${repository}:${tag}@${images.get(tag)}`;
}

function isOf(images: ReadonlyMap<string, Digest>, to: object): boolean {
  return Object.values(to).every(({ tag, digest }) => images.get(tag) === digest);
}

async function rolloutsOf(service: string) {
  const found = await landfall.ledger.rollouts({ workload: `prod/${service}` }, 20);
  return found.map(({ value }) => value).toReversed();
}

async function heldBy(service: string): Promise<readonly Digest[]> {
  const stored = await landfall.ledger.get("workloads", `prod/${service}`);
  return stored?.value.holds.map(({ digest }) => digest) ?? [];
}

interface Spec {
  readonly Version: { readonly Index: number };
  readonly Spec: {
    readonly Labels: Readonly<Record<string, string>>;
    readonly TaskTemplate: { readonly ContainerSpec: { readonly Image: string } };
  };
}

async function specOf(service: string) {
  const { Spec: spec, Version } = JSON.parse(await engine.inspect(service)) as Spec;
  const image = spec.TaskTemplate.ContainerSpec.Image;
  return { image, seq: spec.Labels["landfall.seq"], version: Version.Index };
}

/** Version and tasks that are wanted, of each service. */
function facts(): Promise<readonly string[]> {
  return Promise.all(
    [...cases.map(({ service }) => service), bystander].map(async (service) => {
      const wanted = (await engine.tasks(service)).filter((task) => task.DesiredState === "running");
      return JSON.stringify([
        service,
        await specOf(service),
        wanted.map(({ ID, Status }) => [ID, Status.State]),
      ]);
    }),
  );
}

/** From the first task that failed, by the engine's clock. */
async function timesOf({ service, failure, failureAction, replicas, name }: Case): Promise<string> {
  const tasks = await engine.tasks(service);
  const of = (images: ReadonlyMap<string, Digest>) =>
    tasks.filter((task) => task.Spec.ContainerSpec.Image === imageOf(failure, images));
  const failed = of(bad).filter(({ Status }) => ["failed", "rejected", "complete"].includes(Status.State));
  const at = (task: Task) => Date.parse(task.Status.Timestamp);
  const firstMs = Math.min(...failed.map(at));
  const back = recorder.events.findLast((event) => isWriteTo(event, service, good.get(failure.tag)));
  const backMs = back === undefined ? Number.NaN : Number(back.timeNs / 1_000_000n);
  const running = of(good).filter(({ Status }) => Status.State === "running");
  const wellMs = Math.max(...running.map(at));
  const rollouts = await rolloutsOf(service);
  const judgedMs = rollouts[0]?.times.finished ?? Number.NaN;
  const provenMs = rollouts.at(-1)?.times.finished ?? Number.NaN;
  return [
    `${name.padEnd(88)} (${failed.length} of ${replicas} failed tasks, ${failed[0]?.Status.State}: ${failed[0]?.Status.Err})`,
    `judged +${judgedMs - firstMs}, ${failureAction === "rollback" && failure.isSeen ? "by the engine itself" : `issued +${backMs - firstMs}`}, all run +${wellMs - firstMs}, proven +${provenMs - firstMs} ms`,
  ].join("\n  ");
}

function isWriteTo({ service, attributes }: ServiceEvent, to: string, digest: Digest | undefined): boolean {
  return service === to && digest !== undefined && attributes["image.new"]?.endsWith(`@${digest}`) === true;
}
