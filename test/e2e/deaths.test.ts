import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../shared/clock.ts";
import type { Digest } from "../../shared/domain/reference.ts";
import { type EmbeddedStore, openEmbedded } from "../../shared/embedded-store.ts";
import type { FaultPoint } from "../../shared/flows/recorder.ts";
import { embeddedLedger } from "../../shared/ledger/embedded.ts";
import type { Ledger } from "../../shared/ledger/ledger.ts";
import { distributionDelivery } from "../deliveries.ts";
import { type Death, type MortalLandfall, mortalLandfall } from "./mortal.ts";
import { type ServiceEvent, swarm } from "./services.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const engine = swarm();
const prefix = "e2e-deaths-";
const run = Date.now().toString(36);
const path = `e2e-deaths/${run}`;
const secret = "a-secret-of-a-test-that-is-long-enough";
/** More than any lease or deadline lasts: so much later the next process starts, by its own clock. */
const laterMs = 150_000;
const settledWithinMs = 45_000;
const sides = ["before", "after"] as const;
/** Places in which processes die at the same time. */
const lanes = ["one", "two"] as const;
const ahead = Number.MAX_SAFE_INTEGER;
let events: Awaited<ReturnType<typeof engine.record>>;
let built = 0;

beforeAll(async () => {
  await engine.remove(prefix);
  events = await engine.record();
});

afterAll(async () => {
  events.stop();
  await engine.remove(prefix);
  engine.close();
});

/** Two services that run one tag, and a ledger for the processes that follow each other. */
async function place(name: string, onFinished: (clean: () => Promise<void>) => void) {
  const repository = `${path}-${name}`;
  const image = `${bed.registry}/${repository}`;
  const services = ["a", "b"].map((letter) => `${prefix}${run}-${name}-${letter}`);
  const folder = await mkdtemp(join(tmpdir(), "landfall-deaths-"));
  const ledgerPath = join(folder, "ledger.db");
  const store: EmbeddedStore = openEmbedded(ledgerPath);
  const ledger: Ledger = embeddedLedger(store, systemClock);
  const messages = store.database.prepare("SELECT count(*) AS count FROM messages");
  const push = (): Promise<Digest> =>
    bed.pushImage(repository, "v1", { labels: { build: `${process.pid}-${++built}` } });
  const first = await push();
  await engine.create(
    services.map((service) => ({ name: service, image: `${image}:v1@${first}`, monitorMs: 500 })),
  );
  const config = JSON.stringify({
    follow: [image],
    webhooks: [{ source: "distribution", secrets: [secret] }],
    registries: [{ host: bed.registry, plainHttp: true }],
    targets: [{ name: "swarm", kind: "swarm", host: bed.dockerHost }],
    defaults: { verify: { stableFor: "500ms" } },
  });
  const running = new Set<MortalLandfall>();
  onFinished(async () => {
    await Promise.all([...running].map((child) => child.kill()));
    await ledger.close();
    store.close();
    await rm(folder, { recursive: true });
    await engine.remove(`${prefix}${run}-${name}-`);
    await noContainers(`${prefix}${run}-${name}-`);
    await engine.removeImages(image);
  });

  return {
    services,
    ledger,
    push,
    delivery: (digest: Digest) =>
      distributionDelivery(secret, [{ host: bed.registry, repository, tag: "v1", digest }]),
    /** A process that is ready to start. */
    spawn(): MortalLandfall {
      const child = mortalLandfall();
      running.add(child);
      return child;
    },
    start: (child: MortalLandfall, aheadMs: number) => child.start({ config, ledger: ledgerPath, aheadMs }),
    async dies(child: MortalLandfall): Promise<void> {
      const late = pause(settledWithinMs, "late", { ref: false });
      const end = await Promise.race([child.died, late]);
      if (end !== "SIGKILL") throw new Error(`it did not die: ${end} ${JSON.stringify(child.points)}`);
    },
    async logs(child: MortalLandfall, outcome: string): Promise<void> {
      for (const deadline = Date.now() + settledWithinMs; ; await pause(50)) {
        if (child.logged.some((line) => line.outcome === outcome)) return;
        if (Date.now() > deadline) throw new Error(`not ${outcome}: ${JSON.stringify(child.logged)}`);
      }
    },
    /** Waits until nothing is left to do, for any process at any time. */
    async settled(
      child: MortalLandfall,
      digest: Digest,
      { withinMs = settledWithinMs, sweeps = true } = {},
    ): Promise<void> {
      for (const deadline = Date.now() + withinMs; ; await pause(100)) {
        const due = await ledger.due(ahead, 10);
        const unread = Number(messages.get()?.count);
        const workloads = await ledger.workloads();
        const at = workloads.filter(({ value }) => value.deployed?.[value.name] === digest);
        if (due.length === 0 && unread === 0 && at.length === services.length) return;
        if (Date.now() > deadline) {
          const logged = child.logged.slice(-10);
          throw new Error(`stuck: ${JSON.stringify({ due, unread, workloads, logged }, undefined, 1)}`);
        }
        if (sweeps) await child.sweep();
      }
    },
  };
}
type Place = Awaited<ReturnType<typeof place>>;

/** Images of containers that are still being removed cannot be removed. */
async function noContainers(names: string): Promise<void> {
  const filters = encodeURIComponent(JSON.stringify({ name: [names] }));
  const path = `/containers/json?all=1&filters=${filters}`;
  for (const deadline = Date.now() + settledWithinMs; Date.now() < deadline; await pause(100)) {
    if ((await engine.call<readonly unknown[]>("GET", path)).length === 0) return;
  }
}

/** Each service runs the digest; Docker was told so once, started one task for it, and was told nothing else. */
async function expectOnce({ services, ledger }: Place, digest: Digest, when: string): Promise<void> {
  for (const service of services) {
    const tasks = await engine.tasks(service);
    const ours = tasks.filter((task) => task.Spec.ContainerSpec.Image.endsWith(`@${digest}`));
    expect(
      ours.map((task) => task.Status.State),
      `tasks of ${service}, ${when}`,
    ).toEqual(["running"]);
    const writes = writesOf(service);
    expect(
      writes.filter((to) => to === digest),
      `writes to ${service}, ${when}`,
    ).toHaveLength(1);
    expect(writes.at(-1), when).toBe(digest);
    expect(writes, when).not.toContain("no image");
    const rollouts = await ledger.rollouts({ workload: `swarm/${service}` }, 1);
    expect(rollouts[0]?.value, when).toMatchObject({ state: "succeeded", to: { [service]: { digest } } });
  }
}

/** Digests that Docker was told to bring a service to, in order; what came with its creation is left out. */
function writesOf(service: string): readonly string[] {
  const writes = events.events
    .filter((event) => event.service === service && isWrite(event))
    .map(({ attributes }) => attributes["image.new"]?.split("@")[1] ?? "no image");
  return writes.slice(writes.findIndex((to) => to !== "no image"));
}

/** What the engine tells of an update's progress is not a write. */
function isWrite({ attributes }: ServiceEvent): boolean {
  return Object.keys(attributes).every((key) => !key.startsWith("updatestate."));
}

describe.concurrent("a process", () => {
  it("killed at any point of a push leaves nothing that the next one does not bring to its end, once", async ({
    onTestFinished,
  }) => {
    const startedMs = Date.now();
    const places = await Promise.all(lanes.map((lane) => place(`loop-${lane}`, onTestFinished)));
    const [first] = places;
    if (first === undefined) throw new Error("no lane");
    const undisturbed = await lane(first, []);
    const deaths = numbered(undisturbed.points).flatMap(({ point, nth }) =>
      sides.map((side) => ({ point, nth, side })),
    );
    await Promise.all(
      places.map((here, index) =>
        lane(
          here,
          deaths.filter((_, death) => death % lanes.length === index),
        ),
      ),
    );
    process.stdout.write(
      `killed at ${deaths.length / sides.length} points × ${sides.length} sides in ${Date.now() - startedMs} ms: ` +
        `${undisturbed.points.join(", ")}\n`,
    );
  }, 400_000);

  it("killed after its write leaves the rest to one that is started at once, without any clock's help", async ({
    onTestFinished,
  }) => {
    const here = await place("clock", onTestFinished);
    const [dying, next] = [here.spawn(), here.spawn()];
    await here.start(dying, 0);
    dying.dieAt({ point: "target.update", nth: 1, side: "after" });
    const digest = await here.push();
    await dying.deliver(here.delivery(digest));
    await here.dies(dying);
    const diedMs = Date.now();
    await here.start(next, 0);
    await here.settled(next, digest, { withinMs: 180_000, sweeps: false });
    process.stdout.write(`carried on by the machine's clock after ${Date.now() - diedMs} ms\n`);
    await expectOnce(here, digest, "killed after its write");
  }, 240_000);

  it.for([
    { what: "carried its rollout on", newer: false },
    { what: "rolled out a newer push", newer: true },
  ])("that writes when another one has $what is fenced", async ({ newer }, { onTestFinished }) => {
    const here = await place(newer ? "newer" : "taken", onTestFinished);
    const [stalled, other] = [here.spawn(), here.spawn()];
    await here.start(stalled, 0);
    const held = stalled.holdAt("target.update");
    const digest = await here.push();
    await stalled.deliver(here.delivery(digest));
    await held;
    const last = newer ? await here.push() : digest;
    await here.start(other, laterMs);
    if (newer) await other.deliver(here.delivery(last));
    await here.settled(other, last);
    const before = here.services.map(writesOf);

    stalled.release();
    await here.logs(stalled, "fenced");
    await expectOnce(here, last, "after the late write");
    expect(here.services.map(writesOf)).toEqual(before);
  });
});

/** Processes one after the other, each killed over a push of its own; the next one finds a clock that is later. */
async function lane(
  here: Place,
  deaths: readonly Death[],
): Promise<{ readonly points: readonly FaultPoint[] }> {
  let aheadMs = 0;
  let current = here.spawn();
  await here.start(current, aheadMs);
  const first = await here.push();
  await current.deliver(here.delivery(first));
  await here.settled(current, first);
  await expectOnce(here, first, "undisturbed");
  const { points } = current;
  let next = here.spawn();
  for (const death of deaths) {
    const { side, point, nth } = death;
    const when = `killed ${side} ${point} ${nth}`;
    current.dieAt(death);
    const digest = await here.push();
    await current.deliver(here.delivery(digest));
    await here.dies(current);
    aheadMs += laterMs;
    current = next;
    await here.start(current, aheadMs);
    next = here.spawn();
    await here.settled(current, digest);
    await expectOnce(here, digest, when);
  }
  await Promise.all([current.kill(), next.kill()]);
  return { points };
}

/** How often the tasks are looked at is a matter of time: as often as every rollout of two services looks. */
function numbered(
  points: readonly FaultPoint[],
): readonly { readonly point: FaultPoint; readonly nth: number }[] {
  return points
    .map((point, index) => ({
      point,
      nth: points.slice(0, index + 1).filter((each) => each === point).length,
    }))
    .filter(({ point, nth }) => point !== "target.look" || nth <= 2);
}
