import { randomBytes } from "node:crypto";
import { afterAll, describe, expect, it } from "vitest";
import type { Digest } from "../../shared/domain/reference.ts";
import { runProgram } from "./program.ts";
import { expectSameRows, startReconciled, testRepository } from "./reconciled.ts";
import { swarm } from "./services.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const engine = swarm();
const prefix = `e2e-drift-first-${randomBytes(2).toString("hex")}-`;
const target = { kind: "swarm", host: bed.dockerHost };

afterAll(async () => {
  await engine.remove(prefix);
  await engine.removeImages(`${bed.registry}/e2e-drift/${prefix}*`);
  engine.close();
});

/** Twenty services that are on four tags, five on each, of which three are behind. */
async function twenty() {
  const repository = testRepository(prefix);
  const tags = ["v1", "v2", "v3", "v4"];
  const services: { readonly name: string; readonly image: string; readonly wanted: Digest }[] = [];
  for (const tag of tags) {
    const [old, wanted] = [await repository.push(tag), await repository.push(tag)];
    for (let each = 0; each < 5; each++) {
      const image = `${repository.name}:${tag}@${each < 3 ? old : wanted}`;
      services.push({ name: `${prefix}${tag}-${each}-${Date.now().toString(36)}`, image, wanted });
    }
  }
  await engine.create(services);
  const behind = services.filter(({ image, wanted }) => !image.endsWith(wanted));
  const stands = () => Promise.all(services.map(({ name }) => engine.stand(name)));
  return { repository, services, behind, stands };
}

describe("a first full run over twenty services of which twelve are behind", () => {
  it("touches none, puts all twenty on record, and shows the twelve to whoever asks", async (test) => {
    const { repository, services, behind, stands } = await twenty();
    const landfall = await startReconciled(test, { follow: [repository], target });
    const before = await stands();
    const dry = await landfall.full({ dryRun: true });
    expect(await landfall.workloads()).toEqual([]);
    const startedMs = Date.now();
    const report = await landfall.full();
    const tookMs = Date.now() - startedMs;

    expectSameRows(dry, report);
    expect(report.counts).toEqual({ new: 12, "in-sync": 8 });
    expect(report.guarded).toEqual([]);
    const found = report.rows.filter(({ verdict }) => verdict === "new");
    expect(
      found.map(({ container, running, wanted }) => ({ name: container, image: running, wanted })),
    ).toEqual(expect.arrayContaining(behind));
    const recorded = await landfall.workloads();
    expect(new Map(recorded.map(({ workload, baseline }) => [workload, baseline]))).toEqual(
      new Map(services.map(({ name, image }) => [`prod/${name}`, { [name]: image }])),
    );
    expect(await landfall.rollouts()).toEqual([]);
    expect(await stands()).toEqual(before);

    const shown = (await runProgram(["drift"], landfall.env)).split("\n");
    for (const { name, image, wanted } of behind) {
      const [line = ""] = shown.filter((each) => each.startsWith(`prod/${name} `));
      expect(line).toMatch(/ new /);
      for (const digest of [image.replace(/^.*@/, ""), wanted]) expect(line).toContain(digest.slice(7, 19));
    }
    for (const { name } of services.filter((each) => !behind.includes(each))) {
      expect(shown.filter((each) => each.includes(name))).toEqual([]);
    }
    process.stdout.write(`      20 services: 12 rows, 20 baselines, 0 updates within ${tookMs} ms\n`);
  });

  it("only says what it would do where the target is only observed, and so does a push", async (test) => {
    const { repository, services, behind, stands } = await twenty();
    const landfall = await startReconciled(test, {
      follow: [repository],
      target: { ...target, mode: "observe" },
    });
    const before = await stands();
    await landfall.full();
    await repository.push("v1");
    const event = await landfall.hear(repository, "v1");
    const judged = async () => (await landfall.ledger.get("events", event))?.value;
    await expect.poll(async () => (await judged())?.state, { timeout: 20_000 }).toBe("done");
    const told = (await judged())?.verdicts.filter(({ reason }) => reason === "observe");
    expect(told).toHaveLength(5);
    for (const verdict of told ?? [])
      expect(verdict).toMatchObject({ kind: "skipped", detail: "would-roll-out" });

    await repository.push("v2");
    const runs = [
      await landfall.full(),
      await landfall.full({ adopt: true }),
      await landfall.smartRedeploy(),
    ];
    const would = runs.map(({ rows }) =>
      rows.filter(({ verdict }) => verdict === "would-roll-out").map(({ container }) => container),
    );
    const missed = services.filter(({ image }) => /:v[12]@/.test(image));
    const all = [...new Set([...missed, ...behind])];
    expect(would.map((names) => names.toSorted())).toEqual(
      [missed, all, all].map((each) => each.map(({ name }) => name).toSorted()),
    );
    expect(runs.flatMap(({ rows }) => rows.filter(({ seq }) => seq !== undefined))).toEqual([]);
    expect(await landfall.rollouts()).toEqual([]);
    expect(await stands()).toEqual(before);
  });
});
