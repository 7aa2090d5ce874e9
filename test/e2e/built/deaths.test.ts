import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from "vitest";
import type { Digest } from "../../../shared/domain/reference.ts";
import type { FaultPoint } from "../../../shared/flows/recorder.ts";
import { mortalLandfall } from "../mortal.ts";
import { createPair, expectOnce } from "../pair.ts";
import { swarm } from "../services.ts";
import { testbed } from "../testbed.ts";
import type { Call, Side } from "./border.ts";
import { configOf, type MortalFolders, mortalFolders } from "./mortal-folders.ts";

const bed = testbed();
const engine = swarm();
const prefix = "e2e-built-deaths-";
const path = "e2e-built-deaths";
const secret = "a-secret-of-a-test-that-is-long-enough";
const cleaningMs = 120_000;
/** Landfalls in which builds dies at the same time: most of the time each waits for the end of a dead one's lease. */
const lanes = 20;
/** How many of them are made at the same time. */
const starting = 4;
/** Part of all names: the same test may be tried twice. */
let run = "";
let events: Awaited<ReturnType<typeof engine.record>>;

interface Death {
  readonly call: Call;
  readonly side: Side;
  /** Only a process that has called nobody yet makes this call. */
  readonly isFirst: boolean;
}

interface Shown {
  readonly steps: RegExp;
  readonly calls: RegExp;
  /** What a digest is for is asked once, and remembered. */
  readonly once?: true;
  /** The calls change something. */
  readonly writes?: true;
}

/** Which calls show that a step was taken. */
const shownBy: readonly Shown[] = [
  { steps: /^(?:ref|event|workload)\./, calls: /^Firestore Commit$/, writes: true },
  { steps: /^registry\.head$/, calls: /^registry HEAD manifests$/ },
  { steps: /^registry\.platforms$/, calls: /^registry GET manifests$/, once: true },
  { steps: /^target\.list$/, calls: /^engine GET \/services\?status=true$/ },
  { steps: /^target\.(?:get|look)$/, calls: /^engine GET \/services\/\w$/ },
  { steps: /^target\.look$/, calls: /^engine GET \/tasks of \w$/ },
  { steps: /^target\.update$/, calls: /^engine POST \/services\/\w\/update$/, writes: true },
  { steps: /^bus\./, calls: /^Pub\/Sub publish$/, writes: true },
];
const writes = shownBy.filter((each) => each.writes === true);
/** Right after a call that only reads, nothing outside is other than right before the next one. */
const killedAt: readonly { readonly side: Side; readonly shown: readonly Shown[] }[] = [
  { side: "before", shown: shownBy },
  { side: "after", shown: writes },
];

beforeAll(async () => {
  await engine.remove(prefix);
  events = await engine.record();
});

afterAll(async () => {
  events.stop();
  await engine.remove(prefix);
  engine.close();
});

describe("builds as it is deployed", () => {
  it("killed at any call to the outside leaves nothing that Pub/Sub, a sweep and the next one do not bring to its end, once", async () => {
    const startedMs = Date.now();
    run = startedMs.toString(36);
    const places: Promise<MortalFolders>[] = [];
    for (let lane = 0; lane < lanes; lane++) {
      const turn = places[lane - starting] ?? Promise.resolve();
      places.push(turn.then(() => place(`${lane}`)));
    }
    onTestFinished(async () => {
      for (const made of await Promise.allSettled(places.map(async (making) => (await making).remove()))) {
        if (made.status === "rejected") throw made.reason;
      }
    }, cleaningMs);
    const points = pointsOfOneRollout();
    const first = await Promise.race(places);
    const fresh = await undisturbed(first);
    const warm = await undisturbed(first);
    // What only a process's first rollout calls is of a kind of its own; one more of a kind came by chance.
    const calls = fresh.filter(
      (call) => includes(warm, call) || !warm.some(({ what }) => what === call.what),
    );
    expectEachStepIn(calls, await points, shownBy);
    const countedMs = Date.now();
    const isWrite = ({ what }: Call) => writes.some((each) => each.calls.test(what));
    const deaths = killedAt.flatMap(({ side }): readonly Death[] =>
      calls
        .filter((call) => side === "before" || isWrite(call))
        .map((call) => ({ call, side, isFirst: !includes(warm, call) })),
    );
    const left = [...deaths];
    const died: Death[] = [];
    const ended = await Promise.allSettled(
      places.map(async (making) => dieOneByOne(await making, left, died)),
    );
    expect(ended.flatMap((each) => (each.status === "rejected" ? [String(each.reason)] : []))).toEqual([]);
    for (const { side, shown } of killedAt) {
      const reached = died.filter((death) => death.side === side).map(({ call }) => call);
      expectEachStepIn(reached, await points, shown);
    }

    const all = (await Promise.all(places)).map(({ deliveries }) => deliveries);
    const total = (of: "made" | "lost") => all.reduce((sum, each) => sum + each[of], 0);
    process.stdout.write(
      `killed ${died.length} times, before ${calls.length} calls and after those that write, for ${(await points).length} steps, ` +
        `${deaths.length - died.length} of them not made, ` +
        `in ${lanes} lanes, in ${Date.now() - startedMs} ms, ${countedMs - startedMs} ms of them to count; ` +
        `${total("made")} deliveries by Pub/Sub, ${total("lost")} of them lost: ` +
        `${calls.map(({ what, nth }) => `${what} ${nth}`).join(", ")}\n`,
    );
  }, 900_000);
});

function place(name: string): Promise<MortalFolders> {
  const folders = inject("folders");
  if (folders === undefined) throw new Error("the functions were not built");
  return mortalFolders({
    folders,
    engine,
    name: `${prefix}${run}-${name}`,
    repository: `${path}/${run}-${name}`,
    secret,
  });
}

/** @returns the calls of a rollout that nobody disturbs, without those that only time decides on */
async function undisturbed(here: MortalFolders): Promise<readonly Call[]> {
  here.border.count();
  const digest = await here.push();
  await here.report(digest);
  await here.settled(digest);
  await once(here, digest, "undisturbed");
  return here.border.calls.filter(({ what, nth }) => nth <= certain(what));
}

/** How often the tasks are looked at is a matter of time: as often as every rollout does. */
function certain(what: string): number {
  if (/^engine GET \/tasks of/.test(what)) return 2;
  return /^engine GET \/services\/\w$/.test(what) ? 3 : Number.POSITIVE_INFINITY;
}

async function dieOneByOne(here: MortalFolders, left: Death[], dead: Death[]): Promise<void> {
  for (let death = left.shift(); death !== undefined; death = left.shift()) {
    const { call, side, isFirst } = death;
    const when = `killed ${side} ${call.what} ${call.nth}`;
    try {
      if (isFirst) await here.renew();
      here.border.count();
      const { digest, died } = await here.dieOver(call, side);
      if (died) dead.push(death);
      await here.settled(digest);
      await once(here, digest, when);
    } catch (error) {
      throw new Error(`${when}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }
}

function once(here: MortalFolders, digest: Digest, when: string): Promise<void> {
  const { ledger } = here.landfall;
  return expectOnce(here, { engine, events: events.events, ledger }, digest, when);
}

/** The steps of the same rollout, told by the flows themselves as their sources run. */
async function pointsOfOneRollout(): Promise<readonly FaultPoint[]> {
  const name = `${prefix}${run}-points`;
  const pair = await createPair({ engine, name, repository: `${path}/${run}-points`, secret });
  onTestFinished(() => pair.remove());
  const folder = await mkdtemp(join(tmpdir(), "landfall-points-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const landfall = mortalLandfall();
  onTestFinished(() => landfall.kill());
  const config = JSON.stringify(configOf(pair, secret, bed.dockerHost));
  await landfall.start({ config, ledger: join(folder, "ledger.db"), aheadMs: 0 });
  await landfall.deliver(pair.delivery(await pair.push()));
  const ends = () => landfall.points.filter((point) => point === "workload.finish").length;
  await expect.poll(ends, { timeout: 60_000 }).toBe(pair.services.length);
  return landfall.points;
}

/** Fails where fewer calls were counted than steps were taken, or nothing shows that a step was. */
function expectEachStepIn(
  calls: readonly Call[],
  points: readonly FaultPoint[],
  showing: readonly Shown[],
): void {
  const looks = 2 * 2;
  for (const point of new Set(points)) expect(shownBy.some(({ steps }) => steps.test(point))).toBe(true);
  for (const { steps, calls: shown, once: isOnce } of showing) {
    const taken = points.filter((point) => steps.test(point));
    const counted = taken.filter(
      (point, index) =>
        point !== "target.look" || taken.slice(0, index).filter((each) => each === point).length < looks,
    );
    const wanted = isOnce === true ? Math.min(1, counted.length) : counted.length;
    expect(wanted, `a rollout takes a step ${steps}`).toBeGreaterThan(0);
    const seen = calls.filter(({ what }) => shown.test(what));
    expect(seen.length, `calls ${shown} for ${steps}`).toBeGreaterThanOrEqual(wanted);
  }
}

function includes(calls: readonly Call[], { what, nth }: Call): boolean {
  return calls.some((call) => call.what === what && call.nth === nth);
}
