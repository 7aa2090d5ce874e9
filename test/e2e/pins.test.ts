import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Commit } from "../../shared/domain/commit.ts";
import type { Digest } from "../../shared/domain/reference.ts";
import { ask, callers, reconcile } from "./asking.ts";
import { until } from "./built-line.ts";
import { digestIn, type Follower, followers, recordsOf, secret } from "./followers.ts";
import { type GitHosting, hostGit } from "./git/commits.ts";
import { type Landfall, startLandfall } from "./landfall.ts";
import { runProgram } from "./program.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const here = followers("e2e-pins");
const exits = { cmd: ["sh", "-c", "exit 3"] };
const exitsLater = { cmd: ["sh", "-c", "sleep 8; exit 3"] };
/** Each of them is several rollouts long. */
const patient = { timeout: 400_000 };
const names = ["c1", "c2", "c3", "c4", "c5", "c6"];

let landfall: Landfall;
const now = () => landfall;
const { documentOf, statesOf, holdsOf, rolloutOf, rolloutsOf, runs } = recordsOf(now);
let hosting: GitHosting;
let id: (name: string) => Commit;

beforeAll(async () => {
  await here.open();
  hosting = await hostGit();
  const commits = names.map((name, at) => ({
    name,
    parents: names.slice(Math.max(0, at - 1), at),
    atS: 1_700_000_000,
  }));
  const repository = await hosting.make({ name: "app", commits, branches: { main: "c6" } });
  id = repository.id;
  landfall = await startLandfall({
    config: configuration({ url: await hosting.url(repository), branch: "main" }),
    env: { LANDFALL_TOKEN: bed.kubeToken },
  });
}, 120_000);

afterAll(async () => {
  await landfall?.remove();
  await hosting?.close();
  await here.close();
}, 120_000);

const systems = [
  {
    system: "a Docker Swarm",
    make: (name: string, watchedMs = 3_000) => here.service(now, name, { service: { monitorMs: watchedMs } }),
  },
  {
    system: "a Kubernetes Deployment",
    make: (name: string, watchedMs = 0) =>
      here.workload(now, name, { spec: { minReadySeconds: watchedMs / 1_000 } }),
  },
];

describe.concurrent("a push", patient, () => {
  it.for(systems)("while another is verified replaces it, unjudged: $system", async ({ make }) => {
    const own = await make("verified", 20_000);
    const bad = await own.push(exitsLater);
    await own.deliver(bad);
    await until(landfall, `${own.id} is written`, async () => (await own.image()) === bad);
    const newer = await own.push();
    await own.deliver(newer);
    await runs(own, newer);
    expect(await statesOf(own)).toEqual(["superseded", "succeeded"]);
    expect(await holdsOf(own)).toEqual([]);
  });

  it.for(systems)("while a failed one is rolled back replaces the rollback: $system", async ({ make }) => {
    const own = await make("undone");
    const bad = await own.push(exits);
    await own.deliver(bad);
    await rolloutOf(own, "is rolled back", ({ seq }) => seq === 2);
    await until(landfall, `${own.id} is back`, async () => (await own.image()) === own.first);
    // The one that failed does not come back by being reported once more.
    const again = await own.deliver(bad);
    await eventIsDone(again);
    expect(await own.image()).toBe(own.first);
    const newer = await own.push();
    await own.deliver(newer);
    await runs(own, newer);
    expect((await statesOf(own)).at(-1)).toBe("succeeded");
    expect((await rolloutsOf(own)).map(({ to }) => to)).not.toContainEqual(
      expect.objectContaining({ digest: bad, generation: 3 }),
    );
    expect(await holdsOf(own)).toEqual([]);
  });
});

describe.concurrent("of two containers of one workload", patient, () => {
  it("the one that fails goes back by itself, and the other one stays", async () => {
    const { app, proxy, images } = await pair("apart");
    const better = await app.push();
    await app.deliver(better);
    await pairRuns(app, images, [better, proxy.first]);
    const bad = await proxy.push(exits);
    await proxy.deliver(bad);
    await rolloutOf(app, "is rolled back", ({ state }) => state === "rolled-back");
    await pairRuns(app, images, [better, proxy.first]);
    expect(await holdsOf(app)).toEqual([bad]);
  });

  it("that are rolled out together both go back, and only the one that failed is held", async () => {
    const { app, proxy, images } = await pair("together");
    const [better, bad] = [await app.push(), await proxy.push(exits)];
    await app.deliver(better);
    await until(landfall, `${app.id} is written`, async () => (await images())[0] === better);
    await proxy.deliver(bad);
    await rolloutOf(app, "is rolled back", ({ state }) => state === "rolled-back");
    await pairRuns(app, images, [app.first, proxy.first]);
    expect(await holdsOf(app)).toEqual([bad]);
    // What nobody blames is brought again by the next full run.
    await reconcile(landfall, { mode: "full" });
    await pairRuns(app, images, [better, proxy.first]);
    expect(await holdsOf(app)).toEqual([bad]);
  });
});

describe.concurrent("what a person brought back", patient, () => {
  it.for(systems)("stays until the tag is moved after that: $system", async ({ make }) => {
    const own = await make("by-tag");
    const better = await own.push();
    const event = await own.deliver(better);
    await runs(own, better);

    const words = ["rollback", own.id, "--reason", "it is slow", "--wait", "--json"];
    await runProgram(words, landfall.env);
    await runs(own, own.first);
    await expectPinned(own, own.first, [event], better);

    const newer = await own.push();
    await own.deliver(newer);
    await runs(own, newer);
    expect((await documentOf(own))?.pin).toBeUndefined();
  });

  it.for(systems)("until it is released stays whatever is pushed: $system", async ({ make }) => {
    const own = await make("released");
    const better = await own.push();
    await own.deliver(better);
    await runs(own, better);
    const order = { do: "rollback", workload: own.id, until: "release" } as const;
    expect(await ask(landfall, order)).toMatch(/^ordered/);
    await runs(own, own.first);

    const newer = await own.push();
    const event = await own.deliver(newer);
    await expectPinned(own, own.first, [event], newer);
    const newest = await own.push();
    await expectPinned(own, own.first, [await own.deliver(newest)], newest);

    expect(await ask(landfall, { do: "release", workload: own.id })).toMatch(/^ordered/);
    await runs(own, newest);
  });

  it("of builds stays against those that were on their way, and not against a later one", async () => {
    const both = [
      await here.service(now, "line", { tag: id("c1") }),
      await here.workload(now, "line", { tag: id("c1") }),
    ];
    await Promise.all(both.map((own) => byCommit(own)));
  });
});

/** Builds c2 to c6 of a workload that runs c1. */
async function byCommit(own: Follower): Promise<void> {
  const [c2, c3, c4, c5, c6] = [
    await own.push({}, id("c2")),
    await own.push({}, id("c3")),
    await own.push({}, id("c4")),
    await own.push({}, id("c5")),
    await own.push({}, id("c6")),
  ];
  await publish(own, "c2");
  await runs(own, c2);

  // c3 is being verified when a person says no.
  const third = await publish(own, "c3");
  await until(landfall, `${own.id} is written`, async () => (await own.image()) === c3);
  expect(await ask(landfall, { do: "rollback", workload: own.id })).toMatch(/^ordered/);
  await runs(own, c2);
  await expectPinned(own, c2, [third], c3);

  // c4 has been heard, and nobody knows its place yet, when a person goes back further.
  await gitIsDown();
  const fourth = await publish(own, "c4");
  await until(landfall, `${fourth} waits`, async () => (await eventOf(fourth))?.state === "waiting");
  expect(await ask(landfall, { do: "rollback", workload: own.id })).toMatch(/^ordered/);
  await runs(own, own.first);
  await gitIsBack();
  await until(landfall, `${fourth} is done`, async () => {
    await reconcile(landfall, { mode: "sweep" });
    return (await eventOf(fourth))?.state === "done";
  });
  expect((await eventOf(fourth))?.outcome).toBe("head");
  await expectPinned(own, own.first, [fourth], c4);

  await publish(own, "c5");
  await runs(own, c5);
  expect((await documentOf(own))?.pin).toBeUndefined();

  expect(await ask(landfall, { do: "rollback", workload: own.id, until: "release" })).toMatch(/^ordered/);
  await until(landfall, `${own.id} went back`, async () => (await own.image()) !== c5);
  await until(landfall, `${own.id} rests`, async () => (await documentOf(own))?.open === undefined);
  const back = await own.image();
  const sixth = await publish(own, "c6");
  await eventIsDone(sixth);
  await expectPinned(own, back, [sixth], c6);
  expect(await ask(landfall, { do: "release", workload: own.id })).toMatch(/^ordered/);
  await runs(own, c6);
}

/** Neither the same report, nor a replay, nor a full run brings it, and no task is replaced. */
async function expectPinned(
  own: Follower,
  at: Digest | undefined,
  events: readonly string[],
  wanted: Digest,
): Promise<void> {
  for (const event of events) {
    await eventIsDone(event);
    expect(await ask(landfall, { do: "replay", of: event })).toMatch(/^ordered/);
  }
  const before = await documentOf(own);
  await reconcile(landfall, { mode: "sweep" });
  const rows = await fullRun();
  const row = rows.find(({ workload }) => workload === own.id);
  expect(row, `${own.id} is to run ${wanted}`).toMatchObject({
    verdict: "skipped",
    reason: expect.stringContaining("pinned-by-person"),
  });
  await until(landfall, "all events are done", async () =>
    (await landfall.events()).every(({ order, state }) => order === undefined || state === "done"),
  );
  expect(await own.image()).toBe(at);
  expect((await documentOf(own))?.seq).toBe(before?.seq);
  expect(before?.pin).toBeDefined();
}

/** Only one goes on at a time. */
async function fullRun() {
  for (;;) {
    try {
      return await reconcile(landfall, { mode: "full" });
    } catch (error) {
      if (!String(error).includes("409")) throw error;
    }
  }
}

let down = 0;

async function gitIsDown(): Promise<void> {
  if (++down === 1) await hosting.goDown();
}

async function gitIsBack(): Promise<void> {
  if (--down === 0) await hosting.comeBack();
  await until(landfall, "git is back", async () => down === 0);
}

async function eventOf(event: string) {
  return (await landfall.ledger.get("events", event))?.value;
}

async function eventIsDone(event: string): Promise<void> {
  await until(landfall, `${event} is done`, async () => (await eventOf(event))?.state === "done");
}

/** As CI does; the event. */
async function publish({ repository }: Follower, name: string): Promise<string> {
  const commit = id(name);
  const words = ["publish", `${repository}:${commit}`, "--commit", commit, "--json"];
  const { event } = JSON.parse(await runProgram(words, landfall.env)) as { readonly event: string };
  await until(landfall, `${event} is heard`, async () => (await eventOf(event)) !== undefined);
  return event;
}

/** A Deployment with containers `app` and `proxy`, each of a repository of its own. */
async function pair(name: string) {
  const app = await here.workload(now, `${name}-app`);
  const proxy = await here.workload(now, `${name}-proxy`, { spec: { replicas: 0 } });
  const second = { name: "proxy", image: `${proxy.repository}:v1@${proxy.first}` };
  const patch = { spec: { template: { spec: { containers: [second] } } } };
  await bed.kubectl("-n", here.space, "patch", "deployment", app.name, `--patch=${JSON.stringify(patch)}`);
  await bed.kubectl("-n", here.space, "delete", "deployment", proxy.name);
  await here.k8s.rolledOut(here.space, `deployment/${app.name}`);
  const images = async () => {
    const { spec } = await here.k8s.read(here.space, "deployment", app.name);
    return ["app", "proxy"].map((each) =>
      digestIn(spec.template.spec.containers.find((container) => container.name === each)?.image ?? ""),
    );
  };
  return { app, proxy, images };
}

async function pairRuns(
  app: Follower,
  images: () => Promise<readonly (Digest | undefined)[]>,
  wanted: readonly (Digest | undefined)[],
): Promise<void> {
  await until(landfall, `${app.id} runs ${wanted.join(" and ")}`, async () => {
    if ((await documentOf(app))?.open !== undefined) return false;
    return JSON.stringify(await images()) === JSON.stringify(wanted);
  });
  await here.k8s.rolledOut(here.space, `deployment/${app.name}`);
}

function configuration(git: object): object {
  const to = {
    server: bed.kubeServer,
    ca: `\${file:${bed.kubeCaFile}}`,
    token: "${LANDFALL_TOKEN}",
    namespaces: [here.space],
  };
  return {
    follow: [here.follow],
    webhooks: [{ source: "distribution", secrets: [secret] }],
    registries: [{ host: bed.registry, plainHttp: true }],
    git: [hosting.entry],
    targets: [
      { name: "swarm", kind: "swarm", host: bed.dockerHost },
      { name: "edge", kind: "kubernetes", ...to },
    ],
    images: [{ image: "*/*-line-*", git, policy: "commit" }],
    defaults: { maxParallel: 50, verify: { timeout: "60s", stableFor: "4s" } },
    reconcile: callers,
  };
}
