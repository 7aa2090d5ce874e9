import { randomBytes } from "node:crypto";
import { afterAll, describe, expect, it, type TestContext } from "vitest";
import type { Digest } from "../../shared/domain/reference.ts";
import { type FaultyProxy, type FaultyProxyOptions, faultyProxy } from "../doubles/faulty-proxy.ts";
import { runProgram } from "./program.ts";
import { digestIn, startReconciled, type TestRepository, testRepository } from "./reconciled.ts";
import { swarm } from "./services.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const engine = swarm();
const prefix = `e2e-drift-registry-${randomBytes(2).toString("hex")}-`;
const target = { kind: "swarm", host: bed.dockerHost };

afterAll(async () => {
  await engine.remove(prefix);
  await engine.removeImages(`${bed.registry}/e2e-drift/${prefix}*`);
  engine.close();
});

describe.concurrent("a registry", () => {
  it("that names another digest for everything restarts nothing, is told once, and deploys exactly the plan that a person approves", async (test) => {
    const own = `${prefix}${Date.now().toString(36)}-lie-`;
    const images = await Promise.all(["a", "b", "c", "d", "e"].map(threeImages));
    const services = images.map(({ repository, right }, index) => ({
      name: `${own}${index}`,
      image: `${repository.name}:v1@${right}`,
    }));
    const wrong = images.map(({ repository, wrong }) => `${repository.name}:v1@${wrong}`);
    await engine.create(services);
    let says = "v1";
    const proxy = await inFront(test, {
      instead: (path) => path.replace(/\/manifests\/v1$/, `/manifests/${says}`),
    });
    const landfall = await startReconciled(test, {
      follow: images.map(({ repository }) => repository),
      target,
      config: { registries: [{ host: bed.registry, plainHttp: true, url: proxy.url }] },
    });
    expect((await landfall.full()).counts).toEqual({ "in-sync": 5 });
    const before = await stands(services);

    says = "wrong";
    const stopped = [await landfall.full({ dryRun: true }), await landfall.full(), await landfall.full()];
    for (const { rows, guarded } of stopped) {
      expect(rows.map(({ wanted, seq }) => [wanted, seq])).toEqual(
        expect.arrayContaining(wrong.map((image) => [digestIn(image), undefined])),
      );
      expect(guarded).toEqual([expect.objectContaining({ target: "prod", actionable: 5, references: 5 })]);
    }
    const [plan = ""] = new Set(
      stopped.flatMap(({ guarded }) => guarded.map(({ fingerprint }) => fingerprint)),
    );
    expect(plan).not.toBe("");
    expect(await stands(services)).toEqual(before);
    expect(await landfall.rollouts()).toEqual([]);
    const told = await landfall.told("guarded", 1);
    expect(told).toHaveLength(1);
    expect(told[0]?.data.notices).toEqual([
      expect.objectContaining({ subject: "prod", next: expect.stringContaining(`--approve ${plan}`) }),
    ]);

    says = "other";
    const { guarded } = await landfall.full({ approve: plan });
    expect(guarded.map(({ fingerprint }) => fingerprint)).toEqual([expect.not.stringMatching(plan)]);
    expect(await stands(services)).toEqual(before);

    says = "wrong";
    expect((await landfall.full()).guarded.map(({ fingerprint }) => fingerprint)).toEqual([plan]);
    expect(await stands(services)).toEqual(before);
    const startedMs = Date.now();
    await runProgram(["reconcile", "--approve", plan, "--wait"], landfall.env);
    const rollouts = await landfall.ended(5);
    expect(rollouts.map(({ state, seq }) => [state, seq])).toEqual(Array(5).fill(["succeeded", 1]));
    print(`0 of 5 restarted in 5 runs; the approved plan was deployed within ${Date.now() - startedMs} ms`);
    expect((await stands(services)).map(({ image }) => image).toSorted()).toEqual(wrong.toSorted());
    expect((await landfall.full()).counts).toEqual({ "in-sync": 5 });
  });

  it("that cannot be asked leaves its services as they are, is named with the reason, and stops no other one", async (test) => {
    const limited = await inFront(test);
    const own = `${prefix}${Date.now().toString(36)}-silence-`;
    let asked = 0;
    const when = () => ++asked > 0;
    limited.faults.switchOn({
      when,
      does: { kind: "status", status: 429, headers: { "retry-after": "120" } },
    });
    const slow = await inFront(test);
    slow.faults.switchOn({ does: { kind: "hang" } });
    const broken = await inFront(test);
    broken.faults.switchOn({ does: { kind: "status", status: 500 } });
    const [healthy, missing] = [testRepository(prefix), testRepository(prefix)];
    const [old, removed] = [await healthy.push("v1"), await missing.push("v1")];
    await missing.remove(removed);
    const cases = [
      { name: "down", host: "down.test:5000", url: "http://127.0.0.1:1", says: /down\.test:5000/ },
      {
        name: "denied",
        host: bed.registryAuth,
        url: `http://${bed.registryAuth}`,
        says: /refused access.* password/,
      },
      { name: "limited", host: "limited.test:5000", url: limited.url, says: /429|rate|limit/ },
      { name: "slow", host: "slow.test:5000", url: slow.url, says: /within|time|deadline/ },
      { name: "broken", host: "broken.test:5000", url: broken.url, says: /500/ },
    ] as const;
    const silent = cases.map(({ name, host }) => ({
      name: `${own}${name}`,
      repository: `${host}/e2e-drift/${name}` as const,
    }));
    const gone = { name: `${own}missing`, image: `${missing.name}:v1@${removed}`, replicas: 0 };
    const web = { name: `${own}healthy`, image: `${healthy.name}:v1@${old}` };
    const untouched = [
      ...silent.map(({ name, repository }) => ({ name, image: `${repository}:v1@${removed}`, replicas: 0 })),
      gone,
    ];
    await engine.create([...untouched, web]);
    const landfall = await startReconciled(test, {
      follow: [healthy, missing, ...silent.map(({ repository }) => ({ name: repository }))],
      target,
      config: {
        registries: [
          { host: bed.registry, plainHttp: true },
          ...cases.map(({ host, url }) => ({ host, url, plainHttp: true })),
        ],
      },
    });
    const before = await stands(untouched);
    const run = async () => {
      const startedMs = Date.now();
      return { ...(await landfall.full()), tookMs: Date.now() - startedMs };
    };
    const first = await run();
    const wanted = await healthy.push("v1");
    const second = await run();
    await landfall.ended(1);

    for (const { rows, troubles, counts } of [first, second]) {
      expect(counts.unknown).toBe(6);
      for (const { name, host, says } of cases) {
        const row = rows.find(({ container }) => container === `${own}${name}`);
        expect(row, name).toMatchObject({ verdict: "unknown", reason: expect.stringMatching(says) });
        expect(row?.wanted, name).toBeUndefined();
        expect(
          troubles.filter((each) => each.includes(host)),
          name,
        ).not.toEqual([]);
      }
      expect(rows.find(({ container }) => container === gone.name)).toMatchObject({
        verdict: "unknown",
        reason: expect.stringMatching(/v1 is not in the registry/),
      });
    }
    expect(await stands(untouched)).toEqual(before);
    expect((await stands([web])).map(({ image }) => image)).toEqual([`${healthy.name}:v1@${wanted}`]);
    // It said how long it wants to be left alone.
    expect(asked).toBe(1);
    print(
      `6 of 7 unknown and untouched, the 7th repaired; runs took ${first.tookMs} and ${second.tookMs} ms`,
    );
  });
});

/** A repository whose tags `v1`, `wrong` and `other` are different images. */
async function threeImages(): Promise<{ repository: TestRepository; right: Digest; wrong: Digest }> {
  const repository = testRepository(prefix);
  const [right, wrong] = [await repository.push("v1"), await repository.push("wrong")];
  await repository.push("other");
  return { repository, right, wrong };
}

/** What stands between Landfall and the open registry, and ends with the test; nodes pull past it. */
async function inFront(
  { onTestFinished }: TestContext,
  options: Omit<FaultyProxyOptions, "to"> = {},
): Promise<FaultyProxy> {
  const proxy = await faultyProxy({ ...options, to: `http://${bed.registry}` });
  onTestFinished(() => proxy.close());
  return proxy;
}

function stands(services: readonly { readonly name: string }[]) {
  return Promise.all(services.map(({ name }) => engine.stand(name)));
}

function print(text: string): void {
  process.stdout.write(`      ${text}\n`);
}
