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
import { type Death, type MortalLandfall, mortalLandfall } from "./mortal.ts";
import { createPair, expectOnce, writesOf } from "./pair.ts";
import { swarm } from "./services.ts";
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
  const pair = await createPair({
    engine,
    name: `${prefix}${run}-${name}`,
    repository: `${path}-${name}`,
    secret,
  });
  const { services, image } = pair;
  const folder = await mkdtemp(join(tmpdir(), "landfall-deaths-"));
  const ledgerPath = join(folder, "ledger.db");
  const store: EmbeddedStore = openEmbedded(ledgerPath);
  const ledger: Ledger = embeddedLedger(store, systemClock);
  const messages = store.database.prepare("SELECT count(*) AS count FROM messages");
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
    await pair.remove();
  });

  return {
    ...pair,
    ledger,
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

const once = (here: Place, digest: Digest, when: string) =>
  expectOnce(here, { engine, events: events.events, ledger: here.ledger }, digest, when);

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
    await once(here, digest, "killed after its write");
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
    const before = here.services.map((service) => writesOf(service, events.events));

    stalled.release();
    await here.logs(stalled, "fenced");
    await once(here, last, "after the late write");
    expect(here.services.map((service) => writesOf(service, events.events))).toEqual(before);
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
  await once(here, first, "undisturbed");
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
    await once(here, digest, when);
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
