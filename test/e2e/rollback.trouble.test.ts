import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Digest } from "../../shared/domain/reference.ts";
import { callers, reconcile } from "./asking.ts";
import { until } from "./built-line.ts";
import { type Follower, type FollowerOptions, followers, recordsOf, secret } from "./followers.ts";
import { type Gate, gateTo } from "./gate.ts";
import { type Landfall, startLandfall } from "./landfall.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const here = followers("e2e-trouble");
/** Of a Landfall that reaches its targets through gates. */
const far = followers("e2e-far");
const exits = { cmd: ["sh", "-c", "exit 3"] };
/** What is tried again is so after a minute. */
const patient = { timeout: 400_000 };
/** The sweep of a minute would make tests long. */
const sweepEveryMs = 5_000;

let registry: Gate;
let lostRegistry: Gate;
let docker: Gate;
let kubernetes: Gate;
let landfall: Landfall;
let farLandfall: Landfall;
const now = () => landfall;
const farNow = () => farLandfall;
const { documentOf, statesOf, holdsOf, rolloutOf, runs, tell } = recordsOf(now);
const away = recordsOf(farNow);
let isOver = false;
let sweeping: Promise<void>;

beforeAll(async () => {
  await Promise.all([here.open(), far.open()]);
  const [host = "", port = ""] = bed.registry.split(":");
  registry = await gateTo({ host, port: Number(port) });
  lostRegistry = await gateTo({ host, port: Number(port) });
  docker = await gateTo({ path: bed.dockerHost.slice("unix://".length) });
  kubernetes = await gateTo({ host: "127.0.0.1", port: Number(new URL(bed.kubeServer).port) });
  const env = { LANDFALL_TOKEN: bed.kubeToken };
  landfall = await startLandfall({ config: configuration(here, bed.dockerHost, bed.kubeServer), env });
  const gates = [`tcp://127.0.0.1:${docker.port}`, `https://127.0.0.1:${kubernetes.port}`] as const;
  farLandfall = await startLandfall({ config: configuration(far, ...gates), env });
  sweeping = (async () => {
    while (!isOver) {
      await Promise.all([landfall, farLandfall].map((each) => reconcile(each, { mode: "sweep" })));
      await pause(sweepEveryMs);
    }
  })();
}, 120_000);

afterAll(async () => {
  isOver = true;
  await sweeping;
  await Promise.all([landfall?.remove(), farLandfall?.remove()]);
  for (const gate of [registry, lostRegistry, docker, kubernetes]) await gate?.close();
  await bed.kubectl("label", "nodes", "--all", `${label}-`);
  await labelOfNodes("rm");
  await Promise.all([here.close(), far.close()]);
}, 120_000);

type Make = (name: string, options?: FollowerOptions) => Promise<Follower>;

const systems: readonly { readonly system: string; readonly make: Make }[] = [
  { system: "a Docker Swarm", make: (name, options) => here.service(now, name, options) },
  {
    system: "a Kubernetes Deployment",
    make: (name, options) => here.workload(now, `${name}-d`, { kind: "Deployment", ...options }),
  },
  {
    system: "a Kubernetes StatefulSet",
    make: (name, options = {}) => {
      const { spec: _, ...others } = options;
      return here.workload(now, `${name}-s`, { kind: "StatefulSet", ...others });
    },
  },
];
/** What nodes that are there have. */
const label = here.prefix.replace(/-$/, "");

describe.concurrent("a target that cannot be reached", patient, () => {
  it("is waited for, while a rollout is verified and before it is written", async () => {
    const owns = await Promise.all([
      far.service(farNow, "web", { service: { monitorMs: 10_000 } }),
      far.workload(farNow, "web", { spec: { minReadySeconds: 10 } }),
    ]);
    const pushAll = () =>
      Promise.all(
        owns.map(async (own) => {
          const digest = await own.push();
          await own.deliver(digest);
          return { own, digest };
        }),
      );
    const verified = await pushAll();
    const isWritten = async () => {
      const images = await Promise.all(
        verified.map(async ({ own, digest }) => (await own.image()) === digest),
      );
      return images.every((each) => each);
    };
    await until(farLandfall, "both are written", isWritten);
    await targetsAreShut();
    const isNoticed = async () => {
      const documents = await Promise.all(owns.map(away.documentOf));
      return documents.every((each) => each?.open?.verify?.blindSinceMs !== undefined);
    };
    await until(farLandfall, "nobody answers", isNoticed);
    await targetsOpen();
    for (const { own, digest } of verified) await away.runs(own, digest);

    await targetsAreShut();
    const events = (await farLandfall.events()).length;
    const planned = await pushAll();
    const areWaiting = async () => {
      const heard = (await farLandfall.events()).slice(events);
      return heard.filter(({ state }) => state === "waiting").length === owns.length;
    };
    await until(farLandfall, "both pushes wait", areWaiting);
    await targetsOpen();
    for (const { own, digest } of planned) await away.runs(own, digest);
    for (const own of owns) {
      expect(await away.statesOf(own)).toEqual(["succeeded", "succeeded"]);
      expect(await away.holdsOf(own)).toEqual([]);
    }
  });
});

describe.concurrent("what is not the image's fault costs no hold, and is tried again:", patient, () => {
  it.for(systems)("a registry that nodes cannot reach, $system", async ({ make }) => {
    const own = await make("blocked", { host: behindGate(registry), spec: { progressDeadlineSeconds: 10 } });
    await registryIsShut();
    const digest = await own.push();
    await own.deliver(digest);
    const failed = await rolloutOf(own, "has failed", ({ blame }) => blame !== undefined);
    expect(failed).toMatchObject({ blame: "environment", to: expect.anything() });
    expect(await holdsOf(own)).toEqual([]);
    await registryOpens();
    await runs(own, digest);
    expect(await holdsOf(own)).toEqual([]);
    await tell(own, failed);
  });

  it("a registry that nodes cannot reach, a Docker Swarm that starts the new task first: what runs stays", async () => {
    const own = await here.service(now, "start-first", {
      host: behindGate(registry),
      service: { order: "start-first", replicas: 2, parallelism: 1 },
    });
    const before = await runningTasks(own);
    await registryIsShut();
    const digest = await own.push();
    await own.deliver(digest);
    const failed = await rolloutOf(own, "has failed", ({ blame }) => blame !== undefined);
    expect(failed).toMatchObject({ state: "failed", blame: "environment" });
    expect(await runningTasks(own)).toEqual(before);
    await registryOpens();
    await runs(own, digest);
    expect(await holdsOf(own)).toEqual([]);
    await tell(own, failed);
  });

  it("a node that is gone, a Docker Swarm", async () => {
    await labelOfNodes("add");
    const own = await here.service(now, "node", { service: { constraints: [`node.labels.${label}==up`] } });
    await labelOfNodes("rm");
    const digest = await own.push();
    await own.deliver(digest);
    const failed = await rolloutOf(own, "has failed", ({ blame }) => blame !== undefined);
    expect(failed).toMatchObject({
      blame: "environment",
      reason: expect.stringContaining("no suitable node"),
    });
    expect(await holdsOf(own)).toEqual([]);
    await labelOfNodes("add");
    await runs(own, digest);
    expect(await holdsOf(own)).toEqual([]);
    await tell(own, failed);
  });

  it("a node that is gone, a Kubernetes Deployment", async () => {
    await bed.kubectl("label", "nodes", "--all", "--overwrite", `${label}=up`);
    const own = await here.workload(now, "node", { pod: { nodeSelector: { [label]: "up" } } });
    await bed.kubectl("label", "nodes", "--all", `${label}-`);
    const digest = await own.push();
    await own.deliver(digest);
    const failed = await rolloutOf(own, "has failed", ({ blame }) => blame !== undefined);
    expect(failed).toMatchObject({
      state: "failed",
      blame: "environment",
      reason: expect.stringContaining("Unschedulable"),
    });
    // The old pod serves on.
    expect(await own.running()).toEqual([own.first]);
    expect(await holdsOf(own)).toEqual([]);
    await bed.kubectl("label", "nodes", "--all", "--overwrite", `${label}=up`);
    await runs(own, digest);
    expect(await holdsOf(own)).toEqual([]);
    await tell(own, failed);
  });
});

describe.concurrent("an image that fails goes back to", patient, () => {
  it.for(systems)(
    "what ran before Landfall, when it is the first rollout ever: $system",
    async ({ make }) => {
      const own = await make("first");
      const digest = await own.push(exits);
      await own.deliver(digest);
      await runs(own, own.first);
      expect(await holdsOf(own)).toEqual([digest]);
      expect(await statesOf(own)).toEqual(["rolled-back", "succeeded"]);
    },
  );

  it.for(systems)(
    "the earlier good one, when the last good one is not in the registry any more: $system",
    async ({ make }) => {
      const own = await make("earlier");
      const goods: Digest[] = [];
      for (const _ of [1, 2]) {
        const digest = await own.push();
        await own.deliver(digest);
        await runs(own, digest);
        goods.push(digest);
      }
      const [earlier, last] = goods;
      await own.remove(last);
      const digest = await own.push(exits);
      await own.deliver(digest);
      await runs(own, earlier);
      expect(await holdsOf(own)).toEqual([digest]);
    },
  );

  it("what ran before, when its own image is lost before a node has it: a Docker Swarm", async () => {
    const own = await here.service(now, "lost", { host: behindGate(lostRegistry) });
    await lostRegistry.shut();
    const digest = await own.push();
    await own.deliver(digest);
    await until(landfall, `${own.id} is written`, async () => (await own.image()) === digest);
    await own.remove(digest);
    const failed = await rolloutOf(own, "is blamed on its image", ({ blame }) => blame === "image");
    expect(failed.reason).toMatch(/No such image.*the registry does not have the image any more/);
    await runs(own, own.first);
    expect(await holdsOf(own)).toEqual([digest]);
  });

  it.for(systems)("nothing, and says so, when none of them is there any more: $system", async ({ make }) => {
    const own = await make("none");
    await own.remove(own.first);
    const digest = await own.push(exits);
    await own.deliver(digest);
    await rolloutOf(own, "is given up", ({ state }) => state === "rollback-unavailable");
    await until(landfall, `${own.id} rests`, async () => (await documentOf(own))?.open === undefined);
    expect(await own.image()).toBe(digest);
    expect(await holdsOf(own)).toEqual([digest]);
    expect(landfall.log()).toMatch(
      new RegExp(`✗ ${own.id}: .*nothing that it ran well with is in the registry`),
    );
  });
});

function configuration(
  { follow, space }: Pick<typeof here, "follow" | "space">,
  host: string,
  server: string,
): object {
  const to = { ca: `\${file:${bed.kubeCaFile}}`, token: "${LANDFALL_TOKEN}", namespaces: [space] };
  return {
    follow: [follow],
    webhooks: [{ source: "distribution", secrets: [secret] }],
    registries: [
      { host: bed.registry, plainHttp: true },
      ...[registry, lostRegistry].map((gate) => ({
        host: behindGate(gate),
        url: `http://${bed.registry}`,
        plainHttp: true,
      })),
    ],
    targets: [
      { name: "swarm", kind: "swarm", host },
      { name: "edge", kind: "kubernetes", server, ...to },
    ],
    defaults: { maxParallel: 50, verify: { timeout: "40s", stableFor: "6s" } },
    reconcile: callers,
  };
}

/** Where nodes pull from; Landfall itself has a way of its own. */
function behindGate({ port }: Gate): string {
  return `127.0.0.1:${port}`;
}

/** All who are behind it go through it together: it is shut when the last of them has come, and opens again so. */
const behind = systems.length + 1;
let came = 0;
let left = 0;

async function registryIsShut(): Promise<void> {
  if (++came === behind) await registry.shut();
  await until(landfall, "the registry is shut", async () => came >= behind);
}

async function registryOpens(): Promise<void> {
  if (++left === behind) await registry.open();
}

async function runningTasks({ name }: Follower): Promise<readonly string[]> {
  const tasks = await here.engine.tasks(name);
  return tasks.flatMap(({ ID, Status }) => (Status.State === "running" ? [ID] : [])).toSorted();
}

async function targetsAreShut(): Promise<void> {
  await Promise.all([docker.shut(), kubernetes.shut()]);
}

async function targetsOpen(): Promise<void> {
  await Promise.all([docker.open(), kubernetes.open()]);
}

async function labelOfNodes(change: "add" | "rm"): Promise<void> {
  const ids = (await bed.docker("node", "ls", "--quiet")).split("\n");
  const what = change === "add" ? ["--label-add", `${label}=up`] : ["--label-rm", label];
  for (const id of ids) await bed.docker("node", "update", ...what, id).catch(() => undefined);
}
