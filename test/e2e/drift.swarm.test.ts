import { randomBytes } from "node:crypto";
import { afterAll, expect, it } from "vitest";
import { driftSentences } from "./drift-sentences.ts";
import { startReconciled, testRepository } from "./reconciled.ts";
import { swarm } from "./services.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const engine = swarm();
const prefix = `e2e-drift-swarm-${randomBytes(2).toString("hex")}-`;
const target = { kind: "swarm", host: bed.dockerHost };

afterAll(async () => {
  await engine.remove(prefix);
  await engine.removeImages(`${bed.registry}/e2e-drift/${prefix}*`);
  engine.close();
});

driftSentences("a real Docker Swarm", {
  prefix,
  target: async () => target,
  create: (workloads) => engine.create(workloads),
  addressOf: (name) => name,
  stand: (name) => engine.stand(name),
  async putBack(name, image) {
    await bed.docker("service", "rollback", "--detach", name);
    await engine.settled(name, image);
  },
});

it("a full run names what keeps it from a service, and leaves that alone though it is asked to adopt", async (test) => {
  const repository = testRepository(prefix);
  const image = async (tag: string) => `${repository.name}:${tag}@${await repository.push(tag)}`;
  const own = `${prefix}${Date.now().toString(36)}-`;
  const [loose, dirty, bare] = [`${own}loose`, `${own}dirty`, `${own}bare`];
  const [paused, short, removed] = [`${own}paused`, `${own}short`, `${own}removed`];
  const [, digest = ""] = (await image("v1")).split("@");
  const services = [
    { name: loose, image: `${repository.name}:v1` },
    { name: dirty, image: await image("v1-dirty") },
    { name: bare, image: `${repository.name}@${digest}` },
    { name: paused, image: await image("v2"), labels: { "landfall.pause": "true" } },
  ];
  await engine.create([...services, { name: removed, image: await image("v3") }]);
  const nowhere = ["--constraint", "node.labels.landfall==nowhere"];
  await bed.createService(short, await image("v4"), ...nowhere);
  const landfall = await startReconciled(test, { follow: [repository], target });
  const [, deployed = ""] = (await image("v3")).split("@");
  await landfall.hear(repository, "v3");
  await landfall.ended(1);
  await engine.remove(removed);
  for (const tag of ["v1", "v1-dirty", "v2"]) await repository.push(tag);

  const names = [...services.map(({ name }) => name), short];
  const stands = () => Promise.all(names.map((name) => engine.stand(name)));
  const before = await stands();
  const { rows } = await landfall.full();
  const found = new Map(
    rows.map(({ container, verdict, reason }) => [container, `${verdict} ${reason ?? ""}`]),
  );
  expect(found.get(loose)).toMatch(/^unknown unpinned: /);
  expect(found.get(dirty)).toMatch(/^skipped dirty/);
  expect(found.get(bare)).toMatch(/^skipped digest-pinned/);
  expect(found.get(paused)).toMatch(/^skipped paused/);
  expect(found.get(short)).toBe("degraded 0 of 1 tasks run");
  expect(found.get(removed)).toMatch(/^missing /);
  expect(rows.find(({ container }) => container === removed)?.running).toContain(deployed);
  expect((await landfall.smartRedeploy()).rows.filter(({ seq }) => seq !== undefined)).toEqual([]);
  expect(await stands()).toEqual(before);
  expect(await landfall.ended(1)).toHaveLength(1);
});
