import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { wireFlows } from "../../functions/wiring/flows.ts";
import type { PushMessage } from "../../shared/bus/bus.ts";
import { systemClock } from "../../shared/clock.ts";
import { environment, loadConfig } from "../../shared/config/load.ts";
import type { Digest } from "../../shared/domain/reference.ts";
import { glance } from "../../shared/flows/deps.ts";
import { sweep } from "../../shared/flows/sweep.ts";
import { type Ledger, refId } from "../../shared/ledger/ledger.ts";
import { silentLog } from "../../shared/log.ts";
import { firestoreProject, percentile } from "./firestore-emulator.ts";
import { type Fleet, startFleet } from "./fleet.ts";
import { pubsubProject } from "./pubsub-emulator.ts";
import { type SharedWorld, startSharedWorld } from "./shared-world.ts";
import { type Delivery, seeded, storm } from "./storm.ts";

const refs = ["acme/web", "acme/api", "acme/mail", "acme/search", "acme/shop"].flatMap((repository) =>
  ["v1", "v2", "next", "stable"].map((tag) => ({ repository, tag })),
);
const pushesEach = 5;
const messages = refs.length * pushesEach;
/** Two follow each tag. */
const services = refs.flatMap((_, ref) => ["one", "two"].map((each) => ({ ref, name: `${each}-${ref}` })));
const maxParallel = 8;
/** Deliveries that the bus has under way at once. */
const lanes = 64;
const maxTries = 50;
const patient = { timeout: 110_000, interval: 200 };
const testMs = 240_000;

/** With `SEED=…` it pushes and delivers in the same order again. */
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const figures = new Map<string, (number | string)[]>();

afterAll(() => {
  const cells = [...figures].map(([what, each]) => [
    what.padEnd(40),
    ...each.map((n) => `${n}`.padStart(12)),
  ]);
  process.stdout.write(`\n${cells.map((row) => `      ${row.join("")}\n`).join("")}\n`);
});

describe.each([2, 8])("%i instances of builds on one Firestore", (instances) => {
  it(
    `roll out once what ${messages} messages tell, each delivered 1 to 3 times in any order (seed ${seed})`,
    async () => {
      const random = seeded(seed);
      const here = await start(instances, random);
      const { world, fleet, ledger } = here;
      const startedMs = performance.now();
      const { pushed, statuses } = await deliverAll(here, random);
      const newest = new Map(services.map(({ ref, name }) => [name, pushed[ref]?.at(-1)?.digest]));
      await vi.waitFor(async () => {
        const known = (await ledger.workloads()).map(({ value }) => value);
        expect(known.filter(({ open }) => open !== undefined)).toEqual([]);
        expect(new Map(known.map(({ name, deployed }) => [name, deployed?.[name]]))).toEqual(newest);
      }, patient);
      const tookMs = performance.now() - startedMs;
      const spent = await fleet.spent();
      const updates = [...world.updates];
      await sweepLater(here);

      // Nothing twice, nothing backwards, and nothing more since.
      expect(world.updates).toEqual(updates);
      for (const { ref, name } of services) {
        const written = updates.filter(({ service }) => service === name).map(({ digest }) => digest);
        const inOrder = (pushed[ref] ?? [])
          .map(({ digest }) => digest)
          .filter((each) => written.includes(each));
        expect(written, name).toEqual(inOrder);
        expect(written.at(-1), name).toBe(newest.get(name));
      }
      expect(await world.running()).toEqual(
        Object.fromEntries(
          services.map(({ ref, name }) => [`${name} ${imageOf(world, ref, newest.get(name))}`, 1]),
        ),
      );

      // Nothing left.
      expect(await ledger.due(Number.MAX_SAFE_INTEGER, 1_000)).toEqual([]);
      for (const [n, { repository, tag }] of refs.entries()) {
        const ref = await ledger.get("refs", refId(`${world.registry.host}/${repository}`, tag));
        expect(ref?.value).toMatchObject({ digest: pushed[n]?.at(-1)?.digest, dirty: false });
        expect(ref?.value).not.toHaveProperty("holder");
      }
      const events = (await ledger.events({ nowMs: Date.now() }, 1_000)).map(({ value }) => value);
      const pushes = events.filter(({ push }) => push?.source !== "sweep");
      expect(pushes.map(({ state }) => state)).toEqual(Array.from({ length: messages }, () => "done"));
      const rollouts = (await ledger.rollouts({}, 1_000)).map(({ value }) => value);
      const superseded = rollouts.filter(({ state }) => state === "superseded");
      const verified = rollouts.filter(({ state }) => state === "succeeded");
      expect(rollouts).toHaveLength(superseded.length + verified.length);
      const distinct = new Set(verified.map(({ workload, to }) => JSON.stringify([workload, to])));
      expect(distinct.size).toBe(verified.length);

      report("instances", instances);
      report("deliveries of the messages", statuses.length);
      report("deliveries of `continue`", fleet.answers.length - statuses.length);
      report("of both, repeated after an error", fleet.answers.filter((status) => status >= 300).length);
      report("questions to the registry", headsOf(world));
      report("updates of a service", updates.length);
      report("rollouts: verified, superseded", `${verified.length}, ${superseded.length}`);
      for (const what of ["commits", "conflicts", "reads", "writes"] as const) {
        report(what, spent[what]);
        report(`${what} an update`, (spent[what] / updates.length).toFixed(1));
      }
      report("calls repeated after a disturbance", spent.disturbed.length);
      for (const share of [0.5, 0.95]) {
        report(`a commit, p${share * 100}, ms`, percentile(spent.commitsMs, share).toFixed(0));
      }
      report("until all is verified, s", (tookMs / 1_000).toFixed(1));
    },
    testMs,
  );
});

function report(what: string, figure: number | string): void {
  figures.set(what, [...(figures.get(what) ?? []), figure]);
}

interface Here {
  readonly world: SharedWorld;
  readonly fleet: Fleet;
  readonly ledger: Ledger;
  readonly env: Readonly<Record<string, string>>;
}

async function start(instances: number, random: () => number): Promise<Here> {
  const world = await startSharedWorld((registry) => {
    const first = refs.map(({ repository, tag }) => registry.push(repository, tag));
    return services.map(({ ref, name }) => ({ name, image: imageOf({ registry }, ref, first[ref]) }));
  }, maxParallel);
  onTestFinished(() => world.stop());
  const folder = await mkdtemp(join(tmpdir(), "landfall-instances-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const firestore = firestoreProject();
  const ledger = firestore.ledger();
  onTestFinished(() => ledger.close());
  const pubsub = pubsubProject();
  const env = {
    LANDFALL_CONFIG: join(folder, "landfall.yaml"),
    LANDFALL_LEDGER: `firestore:${firestore.project}`,
    LANDFALL_BUS: `pubsub:projects/${pubsub.project}/topics/landfall`,
    FIRESTORE_EMULATOR_HOST: firestore.host,
    PUBSUB_EMULATOR_HOST: pubsub.host,
    METADATA_SERVER_DETECTION: "none",
  };
  await writeFile(env.LANDFALL_CONFIG, world.config);
  const fleet = await startFleet(instances, env, random);
  onTestFinished(() => fleet.stop());
  const policy = { ackDeadlineSeconds: 600, maxDeliveryAttempts: 50, pushEndpoint: endpointOf(fleet) };
  await pubsub.createTopic("landfall", policy);
  return { world, fleet, ledger, env };
}

interface Pushed {
  readonly digest: Digest;
  readonly message: PushMessage;
}

/** Pushes, and delivers the message of each push as often as the storm has it, and again after an error. */
async function deliverAll({ world, fleet }: Here, random: () => number) {
  const steps = [...storm(refs.length, pushesEach, random)];
  const pushed: Pushed[][] = refs.map(() => []);
  const statuses: number[] = [];
  const deliver = async (delivery: Delivery) => {
    const status = await post(fleet, delivery, pushed[delivery.ref]?.[delivery.nth]?.message);
    statuses.push(status);
    if (status < 300) return;
    if (delivery.attempt > maxTries) throw new Error(`a message is refused again and again: ${status}`);
    steps.push({ ...delivery, attempt: delivery.attempt + 1 });
  };
  const lane = async () => {
    for (let step = steps.shift(); step !== undefined; step = steps.shift()) {
      if (step.kind === "push") pushed[step.ref]?.push(push(world, step.ref, step.nth));
      else await deliver(step);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return { pushed, statuses };
}

function push({ registry }: SharedWorld, ref: number, nth: number): Pushed {
  const { repository = "", tag = "" } = refs[ref] ?? {};
  const digest = registry.push(repository, tag);
  const image = { source: "distribution", registry: registry.host, repository, tag, digest };
  return { digest, message: { kind: "push", event: `${ref}-${nth}`, heardMs: Date.now(), push: image } };
}

/** As Pub/Sub pushes it. */
async function post(fleet: Fleet, { ref, nth, attempt }: Delivery, content: PushMessage | undefined) {
  const data = Buffer.from(JSON.stringify(content)).toString("base64");
  const message = { data, messageId: `${ref}-${nth}` };
  const answer = await fetch(endpointOf(fleet), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ message, subscription: "builds", deliveryAttempt: attempt }),
  });
  await answer.arrayBuffer();
  return answer.status;
}

function endpointOf({ origin }: Fleet): string {
  return `${origin}/?__GCP_CloudEventsMode=CUSTOM_PUBSUB_projects%2Flandfall%2Ftopics%2Flandfall`;
}

/** A push that its registry had left behind by then looks again after 60 s: the sweeps of the minutes that follow. */
async function sweepLater({ env }: Here): Promise<void> {
  const loaded = await loadConfig({ path: env.LANDFALL_CONFIG ?? "", env: {} });
  let laterMs = 0;
  const wiring = wireFlows({
    settings: environment(env),
    config: async () => loaded,
    clock: systemClock,
    log: silentLog,
    ledger: (inner) => ({ ...inner, clock: async () => (await inner.clock()) + laterMs }),
  });
  const deps = await wiring.flows();
  for (let minutes = 0; minutes < 5; minutes++) {
    laterMs += 90_000;
    await sweep(deps, glance);
  }
  await wiring.close();
}

function imageOf(
  { registry }: Pick<SharedWorld, "registry">,
  ref: number,
  digest: Digest | undefined,
): string {
  const { repository = "", tag = "" } = refs[ref] ?? {};
  return `${registry.host}/${repository}:${tag}@${digest}`;
}

function headsOf({ registry }: SharedWorld): number {
  return registry.requests.filter(({ method }) => method === "HEAD").length;
}
