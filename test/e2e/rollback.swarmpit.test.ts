import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { engineAt } from "../../functions/local/sandbox/swarmpit/engine.ts";
import {
  type SandboxSwarmpit,
  startSandboxSwarmpit,
} from "../../functions/local/sandbox/swarmpit/swarmpit.ts";
import { systemClock } from "../../shared/clock.ts";
import type { Digest } from "../../shared/domain/reference.ts";
import type { Rollout } from "../../shared/domain/rollout.ts";
import type { WorkloadDocument } from "../../shared/ledger/ledger.ts";
import { dockerhubDelivery } from "../deliveries.ts";
import { type Landfall, startLandfall } from "./landfall.ts";
import { swarm } from "./services.ts";
import { type ImageBehaviour, testbed } from "./testbed.ts";

const bed = testbed();
const engine = swarm();
const own = `e2e-back-pit-${randomBytes(2).toString("hex")}`;
const secret = "a-secret-that-docker-hub-knows";
const behind = engineAt(bed.dockerHost);
const pushed: { readonly repository: string; readonly digest: Digest }[] = [];
let swarmpit: SandboxSwarmpit;
let token: string;
let landfall: Landfall;

beforeAll(async () => {
  const registryAccounts = [{ url: `http://${bed.registry}` }];
  swarmpit = await startSandboxSwarmpit({ engine: behind, clock: systemClock, registryAccounts });
  token = swarmpit.token();
  landfall = await startLandfall({
    config: {
      follow: [`${bed.registry}/${own}/*`],
      webhooks: [{ source: "dockerhub", secrets: [secret], hostAliases: { "docker.io": bed.registry } }],
      registries: [{ host: bed.registry, plainHttp: true }],
      targets: [{ name: "pit", kind: "swarmpit", url: swarmpit.url, token }],
      defaults: { verify: { timeout: "1m", stableFor: "2s" }, maxParallel: 16 },
    },
  });
}, 60_000);
afterAll(async () => {
  await landfall.remove();
  await engine.remove(own);
  for (const { repository, digest } of pushed) await bed.deleteManifest(repository, digest);
  await engine.removeImages(`${bed.registry}/${own}/*`);
  await swarmpit.close();
  await behind.close();
  engine.close();
});

const runs: ImageBehaviour = {};
const exits = { cmd: ["sh", "-c", "exit 3"] } satisfies ImageBehaviour;
/** Fails after the redeploy was recorded, and before it is verified. */
const exitsLater = { cmd: ["sh", "-c", "sleep 4; exit 3"] } satisfies ImageBehaviour;

/** A service that runs a release which Landfall has deployed and verified. */
async function released(name: string, container: object = {}) {
  // Another one where a test is tried once more.
  const service = `${own}-${name}-${randomBytes(2).toString("hex")}`;
  const id = `pit/${service}` as const;
  const repository = `${own}/${service.slice(own.length + 1)}`;
  let builds = 0;
  const push = async (behaviour: ImageBehaviour, tags: readonly string[] = ["int"]): Promise<Digest> => {
    // One image in several repositories at once is what a registry that answers nonsense looks like.
    const labels = { build: `${service} ${++builds}` };
    const digests: Digest[] = [];
    for (const tag of tags) digests.push(await bed.pushImage(repository, tag, { ...behaviour, labels }));
    const [digest] = digests;
    if (digest === undefined || new Set(digests).size > 1) throw new Error("not one image");
    pushed.push({ repository, digest });
    return digest;
  };
  const image = (digest: Digest, tag = "int") => `${bed.registry}/${repository}:${tag}@${digest}`;
  const hear = (tag = "int") => landfall.deliver(dockerhubDelivery(secret, { repository, tag }));
  const rollouts = async (): Promise<readonly Rollout[]> =>
    (await landfall.rollouts()).filter(({ workload }) => workload === id);
  const document = async (): Promise<WorkloadDocument | undefined> =>
    (await landfall.workloads()).find(({ workload }) => workload === id);
  const until = async (satisfied: () => Promise<boolean>, withinMs = 150_000) => {
    for (const deadline = Date.now() + withinMs; !(await satisfied()); await pause(200)) {
      if (Date.now() > deadline) throw new Error(`${service}: ${JSON.stringify(await rollouts())}`);
    }
  };
  const before = await push(runs);
  await engine.create([{ name: service, image: image(before), replicas: 2, container }]);
  const { ID } = await engine.call<{ readonly ID: string }>("GET", `/services/${service}`);
  const good = await push(runs, ["int", "v1.0.0"]);
  const here = {
    service,
    good,
    push,
    image,
    hear,
    rollouts,
    document,
    until,
    /** Waits until so many rollouts have ended and none is open. */
    async ended(count: number): Promise<readonly string[]> {
      await until(async () => {
        const ended = (await rollouts()).filter(({ times }) => times.finished !== undefined);
        return ended.length >= count && (await document())?.open === undefined;
      });
      return (await rollouts()).map(({ state }) => state);
    },
    /** Every write that Swarmpit was asked for, e.g. `redeploy?tag=v1`. */
    posts: () =>
      swarmpit.requests
        .filter(({ method, path }) => method === "POST" && path.includes(`/${ID}/`))
        .map(({ path }) => path.replace(/.*\//, "")),
    shown: async () => (await engine.stand(service)).image,
    tasksOf: async (wanted: string) =>
      (await engine.tasks(service)).filter(({ Spec }) => Spec.ContainerSpec.Image === wanted),
  };
  await hear();
  expect(await here.ended(1)).toEqual(["succeeded"]);
  return here;
}
type Here = Awaited<ReturnType<typeof released>>;

/** Somebody else adds a label, which replaces no task. */
const touch = ({ service }: Here) =>
  bed.docker("service", "update", "-d", "--label-add", "touched=yes", service);
const isVerifying = (here: Here) => async () => (await here.document())?.open?.state === "verifying";

describe.concurrent("a release that fails behind Swarmpit, over a real Docker Swarm", () => {
  const health = {
    Healthcheck: {
      Test: ["CMD", "/bin/busybox", "sh", "-c", '[ "$HEALTH" != bad ]'],
      Interval: 500_000_000,
      // A busy machine takes its time to start a check: a good image must not fail for that.
      Timeout: 20_000_000_000,
      Retries: 2,
    },
  };
  it.each([
    { name: "exits", behaviour: exits, container: {}, words: /non-zero exit \(3\)/ },
    {
      name: "exits-after-8-s",
      behaviour: { cmd: ["sh", "-c", "sleep 8; exit 3"] },
      container: {},
      words: /non-zero exit \(3\)/,
    },
    {
      name: "never-healthy",
      behaviour: { env: ["HEALTH=bad"] },
      container: health,
      words: /unhealthy/,
    },
    {
      name: "cannot-start",
      behaviour: { entrypoint: ["/no-such-program"] },
      container: {},
      words: /no-such-program/,
    },
  ])("is rolled back by Swarmpit and held, and a later one goes out: $name", async (each) => {
    const here = await released(each.name, each.container);
    const { good, image } = here;
    const bad = await here.push(each.behaviour);
    await here.hear();
    expect(await here.ended(3)).toEqual(["succeeded", "rolled-back", "succeeded"]);
    expect((await here.rollouts())[1]?.reason).toMatch(each.words);
    expect(here.posts()).toEqual(["redeploy", "redeploy", "rollback"]);
    expect(await here.shown()).toBe(image(good));
    expect(await engine.runningImages(here.service)).toEqual([image(good), image(good)]);
    expect(await here.document()).toMatchObject({
      deployed: { [here.service]: good },
      holds: [{ digest: bad }],
    });

    await here.hear();
    await here.hear();
    const next = await here.push(runs);
    await here.hear();
    expect(await here.ended(4)).toEqual(["succeeded", "rolled-back", "succeeded", "succeeded"]);
    expect(here.posts()).toHaveLength(4);
    expect(await engine.runningImages(here.service)).toEqual([image(next), image(next)]);
  });

  it("stays where it is, held, when somebody has changed the service since and no tag leads back", async () => {
    const here = await released("stays");
    const bad = await here.push(exitsLater);
    await here.hear();
    await here.until(isVerifying(here));
    await touch(here);
    expect(await here.ended(3)).toEqual(["succeeded", "rollback-unavailable", "failed"]);
    expect(here.posts()).toEqual(["redeploy", "redeploy"]);
    expect(await here.shown()).toBe(here.image(bad));
    expect(await here.document()).toMatchObject({ holds: [{ digest: bad }] });
  });

  it("is brought back by a version's tag after such a change, and follows its own as before", async () => {
    const here = await released("detour");
    const { good, image } = here;
    await here.hear("v1.0.0");
    await here.push(exitsLater);
    await here.hear();
    await here.until(isVerifying(here));
    await touch(here);
    expect(await here.ended(3)).toEqual(["succeeded", "rolled-back", "succeeded"]);
    expect(here.posts()).toEqual(["redeploy", "redeploy", "redeploy?tag=v1.0.0"]);
    expect(await engine.runningImages(here.service)).toEqual([image(good, "v1.0.0"), image(good, "v1.0.0")]);

    await here.hear();
    const next = await here.push(runs);
    await here.hear();
    await here.ended(4);
    expect(here.posts().slice(3)).toEqual(["redeploy?tag=int"]);
    expect(await engine.runningImages(here.service)).toEqual([image(next), image(next)]);
  });

  it("is nobody's to undo once somebody has rolled it back in Swarmpit", async () => {
    const here = await released("by-hand");
    await here.push({ cmd: ["sh", "-c", "sleep 20; exit 3"] });
    await here.hear();
    await here.until(isVerifying(here));
    const path = `${swarmpit.url}/services/${here.service}/rollback`;
    const answer = await fetch(path, { method: "POST", headers: { authorization: token } });
    expect(answer.status).toBe(202);
    expect(await here.ended(2)).toEqual(["succeeded", "superseded"]);
    expect((await here.rollouts())[1]?.reason).toBe("changed by someone else");
    expect(here.posts()).toEqual(["redeploy", "redeploy"]);
    expect(await here.shown()).toBe(here.image(here.good));
  });
});

describe("a rollback whose answer is lost, over a real Docker Swarm", () => {
  it("is made once, and no task is started twice for it", async () => {
    const here = await released("lost");
    const { good, image } = here;
    await here.push(exits);
    const first = new Set((await here.tasksOf(image(good))).map(({ ID }) => ID));
    swarmpit.fail("rollback", { kind: "lose-answer" });
    await here.hear();
    expect(await here.ended(3)).toEqual(["succeeded", "rolled-back", "succeeded"]);
    expect(here.posts()).toEqual(["redeploy", "redeploy", "rollback"]);
    const again = (await here.tasksOf(image(good))).filter(({ ID }) => !first.has(ID));
    const slots = again.map(({ Slot }) => Slot);
    expect(slots.length).toBe(new Set(slots).size);
    expect(await engine.runningImages(here.service)).toEqual([image(good), image(good)]);
  });
});
