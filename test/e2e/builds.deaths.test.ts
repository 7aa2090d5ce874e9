import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { systemClock } from "../../shared/clock.ts";
import type { Digest } from "../../shared/domain/reference.ts";
import { openEmbedded } from "../../shared/embedded-store.ts";
import type { FaultPoint } from "../../shared/flows/recorder.ts";
import { embeddedLedger } from "../../shared/ledger/embedded.ts";
import type { Channel } from "../../shared/ledger/image-document.ts";
import { distributionDelivery } from "../deliveries.ts";
import { taggedDigest } from "./built-images.ts";
import { type GitHosting, hostGit } from "./git/commits.ts";
import type { GraphRepository } from "./git/repository.ts";
import { type Death, type MortalLandfall, mortalLandfall } from "./mortal.ts";
import { registryLog } from "./registry-log.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const run = Date.now().toString(36);
const secret = "a-secret-of-a-test-that-is-long-enough";
/** More than any lease or deadline lasts: so much later the next process starts, by its own clock. */
const laterMs = 150_000;
const settledWithinMs = 45_000;
const patient = { timeout: settledWithinMs, interval: 50 };
const sides = ["before", "after"] as const;
const lanes = ["one", "two"] as const;
const ahead = Number.MAX_SAFE_INTEGER;
const commits = Array.from({ length: 80 }, (_, index) => `c${index}`);

let git: GitHosting;
let repository: GraphRepository;
beforeAll(async () => {
  git = await hostGit();
  repository = await git.make({
    name: "line",
    commits: commits.map((name, index) => ({
      name,
      parents: index === 0 ? [] : [`c${index - 1}`],
      atS: 1_700_000_000 + index,
    })),
    branches: { main: commits.at(-1) ?? "" },
  });
});
afterAll(() => git.close());

/** A build of a commit, in the registry. */
interface Built {
  readonly name: string;
  readonly digest: Digest;
}

/** An image with a channel, and a ledger for the processes that follow each other. */
async function place(name: string, onFinished: (clean: () => Promise<void>) => void) {
  const path = `e2e-builds-deaths/${run}-${name}`;
  const image = `${bed.registry}/${path}` as const;
  const folder = await mkdtemp(join(tmpdir(), "landfall-deaths-"));
  const ledgerPath = join(folder, "ledger.db");
  const store = openEmbedded(ledgerPath);
  const ledger = embeddedLedger(store, systemClock);
  const messages = store.database.prepare("SELECT count(*) AS count FROM messages");
  const log = await registryLog();
  const config = JSON.stringify({
    follow: [image],
    webhooks: [{ source: "distribution", secrets: [secret] }],
    registries: [{ host: bed.registry, plainHttp: true }],
    git: [git.entry],
    images: [
      {
        image,
        git: { url: await git.url(repository, `line-${name}`), branch: "main" },
        channels: [{ tag: "prod" }],
      },
    ],
  });
  const running = new Set<MortalLandfall>();
  const digests = new Map<Digest, string>();
  onFinished(async () => {
    await Promise.all([...running].map((child) => child.kill()));
    await ledger.close();
    store.close();
    await rm(folder, { recursive: true });
  });
  const channel = async (): Promise<Channel | undefined> =>
    (await ledger.get("images", image))?.value.channels.prod;

  return {
    image,
    path,
    ledger,
    channel,
    /** A process that is ready to start. */
    spawn(): MortalLandfall {
      const child = mortalLandfall();
      running.add(child);
      return child;
    },
    start: (child: MortalLandfall, aheadMs: number) => child.start({ config, ledger: ledgerPath, aheadMs }),
    async push(commit: string): Promise<Built> {
      const digest = await bed.pushImage(path, repository.id(commit), { labels: { commit, path } });
      digests.set(digest, commit);
      return { name: commit, digest };
    },
    delivery: ({ name: commit, digest }: Built) =>
      distributionDelivery(secret, [
        { host: bed.registry, repository: path, tag: repository.id(commit), digest },
      ]),
    async dies(child: MortalLandfall): Promise<void> {
      const end = await Promise.race([child.died, pause(settledWithinMs, "late", { ref: false })]);
      if (end !== "SIGKILL") throw new Error(`it did not die: ${end} ${JSON.stringify(child.points)}`);
    },
    /** Waits until the build is where it belongs, and only the look at the tag a lease later is left to do. */
    async promoted(child: MortalLandfall, { name: commit, digest }: Built): Promise<void> {
      for (const deadline = Date.now() + settledWithinMs; ; await pause(50)) {
        const due = await ledger.due(ahead, 10);
        const now = await channel();
        const atRest = due.every(({ collection }) => collection === "images") && now?.intent === undefined;
        const unread = Number(messages.get()?.count);
        if (atRest && unread === 0 && now?.promoted?.digest === digest) return;
        if (Date.now() > deadline) {
          const logged = child.logged.slice(-10);
          throw new Error(
            `stuck with ${commit}: ${JSON.stringify({ due, unread, now, logged }, undefined, 1)}`,
          );
        }
        await child.sweep();
      }
    },
    /** What Landfall has put under the channel's tag, by the registry's own log: each PUT follows its GET. */
    async puts(): Promise<readonly string[]> {
      const own = (await log.calls()).filter(
        (call) => call.repository === path && call.agent.startsWith("landfall/"),
      );
      return own.flatMap(({ method, status }, at) => {
        if (method !== "PUT" || status !== 201) return [];
        const read = own.slice(0, at).findLast((call) => call.method === "GET");
        return [digests.get(read?.reference as Digest) ?? "nothing known"];
      });
    },
    head: async () => {
      const head = (await ledger.get("images", image))?.value.head;
      return head === undefined ? undefined : digests.get(head.digest);
    },
    dueMs: async () => (await ledger.get("images", image))?.value.dueMs,
    prod: async () => digests.get((await taggedDigest(path, "prod")) as Digest),
  };
}
type Place = Awaited<ReturnType<typeof place>>;

function expectNoConflict(children: readonly MortalLandfall[], when: string): void {
  const outcomes = children.flatMap(({ logged }) => logged.map(({ outcome }) => outcome));
  expect(outcomes, when).not.toContain("conflict");
}

describe.concurrent("a process that promotes builds", () => {
  it("killed at any point leaves nothing that the next one does not bring to its end, with one PUT", async ({
    onTestFinished,
  }) => {
    const startedMs = Date.now();
    const places = await Promise.all(lanes.map((lane) => place(`loop-${lane}`, onTestFinished)));
    const [first] = places;
    if (first === undefined) throw new Error("no lane");
    const points = await lane(first, []);
    for (const point of ["image.intent", "registry.put", "image.result"] as const)
      expect(points).toContain(point);
    const deaths = points.flatMap((point, at) => {
      const nth = points.slice(0, at + 1).filter((each) => each === point).length;
      return sides.map((side) => ({ point, nth, side }));
    });
    await Promise.all(
      places.map((here, index) =>
        lane(
          here,
          deaths.filter((_, death) => death % lanes.length === index),
        ),
      ),
    );
    process.stdout.write(
      `killed at ${points.length} points × ${sides.length} sides in ${Date.now() - startedMs} ms: ${points.join(", ")}\n`,
    );
  }, 400_000);

  it.for([
    { point: "image.intent", side: "after", puts: ["c0", "c2"] },
    { point: "registry.put", side: "after", puts: ["c0", "c1", "c2"] },
    { point: "image.result", side: "before", puts: ["c0", "c1", "c2"] },
  ] as const)(
    "killed $side $point leaves a tag that a newer build moves on",
    async ({ puts, ...death }, { onTestFinished }) => {
      const here = await place(`newer-${death.point.replace(".", "-")}`, onTestFinished);
      const [dying, next, last] = [here.spawn(), here.spawn(), here.spawn()];
      await here.start(dying, 0);
      await hear(here, dying, "c0");
      dying.dieAt({ ...death, nth: 1 });
      await dying.deliver(here.delivery(await here.push("c1")));
      await here.dies(dying);

      await here.start(next, 0);
      const newer = await here.push("c2");
      await next.deliver(here.delivery(newer));
      await vi.waitFor(async () => expect(await here.head()).toBe("c2"), patient);
      await next.kill();
      await here.start(last, laterMs);
      await here.promoted(last, newer);
      expect([await here.prod(), await here.puts()]).toEqual(["c2", puts]);
      expectNoConflict([dying, next, last], death.point);
    },
  );

  it.for([
    { when: "before anybody has looked once more", looks: false },
    { when: "after everybody has looked once more", looks: true },
  ])(
    "that writes late, $when, moves the tag back, and that is put right",
    async ({ looks }, { onTestFinished }) => {
      const here = await place(`late-${looks}`, onTestFinished);
      const [stalled, other, last] = [here.spawn(), here.spawn(), here.spawn()];
      await here.start(stalled, 0);
      await hear(here, stalled, "c0");
      const held = stalled.holdAt("registry.put");
      await stalled.deliver(here.delivery(await here.push("c1")));
      await held;
      const newer = await here.push("c2");
      await stalled.deliver(here.delivery(newer));
      await vi.waitFor(async () => expect(await here.head()).toBe("c2"), patient);
      await here.start(other, laterMs);
      await here.promoted(other, newer);
      expect(await here.puts()).toEqual(["c0", "c2"]);
      if (looks) await here.start(last, 2 * laterMs);
      if (looks) await vi.waitFor(async () => expect(await here.dueMs()).toBeUndefined(), patient);

      stalled.release();
      await vi.waitFor(async () => expect((await here.puts()).length).toBeGreaterThan(2), patient);
      if (!looks) await here.start(last, 2 * laterMs);
      await vi.waitFor(async () => {
        await last.sweep();
        const later = (await here.puts()).slice(3);
        // To the one whose clock is ahead the other's lease is over: then each of them puts it right.
        expect([await here.prod(), ...new Set(later)]).toEqual(["c2", "c2"]);
      }, patient);
      expectNoConflict([stalled, other, last], "after the late write");
    },
  );
});

/** A build that nothing disturbs. */
async function hear(here: Place, child: MortalLandfall, commit: string): Promise<void> {
  const built = await here.push(commit);
  await child.deliver(here.delivery(built));
  await here.promoted(child, built);
}

/** Processes one after the other, each killed over a build of its own; the next one finds a clock that is later. */
async function lane(here: Place, deaths: readonly Death[]): Promise<readonly FaultPoint[]> {
  let aheadMs = 0;
  const names = commits.values();
  const next = () => names.next().value ?? "no commit is left";
  let current = here.spawn();
  await here.start(current, aheadMs);
  await hear(here, current, next());
  const { points } = current;
  const expected = [...(await here.puts())];
  let spare = here.spawn();
  for (const death of deaths) {
    const when = `killed ${death.side} ${death.point} ${death.nth}`;
    current.dieAt(death);
    const built = await here.push(next());
    await current.deliver(here.delivery(built));
    await here.dies(current);
    aheadMs += laterMs;
    const dead = current;
    current = spare;
    await here.start(current, aheadMs);
    spare = here.spawn();
    await here.promoted(current, built);
    expected.push(built.name);
    expect(await here.prod(), when).toBe(built.name);
    expect(await here.puts(), when).toEqual(expected);
    expectNoConflict([dead, current], when);
  }
  await here.start(spare, aheadMs + laterMs);
  await spare.sweep();
  expect(await here.ledger.due(ahead, 10)).toEqual([]);
  await Promise.all([current.kill(), spare.kill()]);
  return points;
}
