import { describe, expect, it, type TestContext } from "vitest";
import type { Digest } from "../../shared/domain/reference.ts";
import { runProgram } from "./program.ts";
import {
  digestIn,
  expectSameRows,
  type Reconciled,
  type Report,
  startReconciled,
  type TestRepository,
  testRepository,
} from "./reconciled.ts";
import { registryLog } from "./registry-log.ts";

/** Somewhere that workloads run, set up and looked at by its own means. */
export interface DriftPlace {
  /** A target of the configuration, without its name. */
  target(): Promise<object>;
  /** Variables that the target names. */
  readonly env?: Readonly<Record<string, string>>;
  /** How often a tag is asked for besides, each time that it is redeployed: where the target resolves it by itself. */
  readonly headsPerRedeploy?: number;
  /** Begins every name. */
  readonly prefix: string;
  /** Workloads of one task each; all of them run when it is done. */
  create(workloads: readonly { readonly name: string; readonly image: string }[]): Promise<void>;
  /** How Landfall calls it, without the target. */
  addressOf(name: string): string;
  stand(name: string): Promise<Stand>;
  /** Brings one back as a person does, to the image that it had before; that one runs when it is done. */
  putBack(name: string, image: string): Promise<void>;
}

/** What a place itself says of a workload. */
export interface Stand {
  readonly image: string;
  /** Another one after every write. */
  readonly mark: string;
}

/** What a full run does to real workloads, wherever they run. */
export function driftSentences(kind: string, place: DriftPlace): void {
  describe(`a full run over ${kind}`, () => {
    it("repairs pushes whose webhooks were lost, and writes nothing the second time", async (test) => {
      const repository = testRepository(place.prefix);
      const [known, deployed] = [unique("known"), unique("deployed")];
      const first = { known: await repository.push("v1"), deployed: await repository.push("v2") };
      await place.create([
        { name: known, image: pinned(repository, "v1", first.known) },
        { name: deployed, image: pinned(repository, "v2", first.deployed) },
      ]);
      const landfall = await start(test, repository);
      await repository.push("v2");
      await landfall.hear(repository, "v2");
      await landfall.ended(1);
      expect((await landfall.full()).counts).toEqual({ "in-sync": 2 });

      const lost = { known: await repository.push("v1"), deployed: await repository.push("v2") };
      const before = await stands([known, deployed]);
      const dry = await landfall.full({ dryRun: true });
      expect(dry.counts).toEqual({ missed: 2 });
      expect(await stands([known, deployed])).toEqual(before);
      expect(await landfall.rollouts()).toHaveLength(1);

      const startedMs = Date.now();
      const run = await landfall.full();
      expectSameRows(dry, run);
      await landfall.ended(3);
      const repairedMs = Date.now() - startedMs;
      const after = await stands([known, deployed]);
      expect(after.map(({ image }) => image)).toEqual([
        pinned(repository, "v1", lost.known),
        pinned(repository, "v2", lost.deployed),
      ]);

      expect((await landfall.full()).counts).toEqual({ "in-sync": 2 });
      expect(await stands([known, deployed])).toEqual(after);
      expect(await landfall.ended(3)).toHaveLength(3);
      print(`2 lost pushes were repaired ${repairedMs} ms after the run was asked for; 0 updates after that`);
    });

    it("leaves what a person put back through three runs, tells it once, and brings it on when asked to adopt it", async (test) => {
      const repository = testRepository(place.prefix);
      const web = unique("web");
      const before = pinned(repository, "v1", await repository.push("v1"));
      await place.create([{ name: web, image: before }]);
      const landfall = await start(test, repository);
      const wanted = await repository.push("v1");
      await landfall.hear(repository, "v1");
      await landfall.ended(1);
      await place.putBack(web, before);

      const changed = await place.stand(web);
      expect(changed.image).toBe(before);
      for (let times = 0; times < 3; times++) {
        const { rows } = await landfall.full();
        expect(rows).toEqual([
          expect.objectContaining({
            workload: `prod/${place.addressOf(web)}`,
            running: before,
            deployed: wanted,
            wanted,
            verdict: "changed-outside",
          }),
        ]);
      }
      expect(await place.stand(web)).toEqual(changed);
      const told = await landfall.told("changed-outside", 1);
      expect(told).toHaveLength(1);
      expect(told[0]?.data.notices).toEqual([
        expect.objectContaining({
          subject: `prod/${place.addressOf(web)}`,
          sentence: expect.stringContaining(before),
          next: expect.stringContaining("landfall reconcile --adopt"),
        }),
      ]);

      const address = `prod/${place.addressOf(web)}`;
      const shown = await runProgram(
        ["reconcile", "--adopt", "--dry-run", "--workload", address],
        landfall.env,
      );
      expect(shown).toMatch(new RegExp(`^${address} +changed-outside `, "m"));
      expect(await place.stand(web)).toEqual(changed);
      const startedMs = Date.now();
      await runProgram(["reconcile", "--adopt", "--workload", address, "--wait"], landfall.env);
      await landfall.ended(2);
      print(`adopted ${Date.now() - startedMs} ms after the run was asked for`);
      const after = await place.stand(web);
      expect(after.image).toBe(pinned(repository, "v1", wanted));
      expect((await landfall.full()).counts).toEqual({ "in-sync": 1 });
      expect(await place.stand(web)).toEqual(after);
      expect(await landfall.told("changed-outside", 1)).toHaveLength(1);
    });

    it("redeploys by POST /SmartRedeploy what runs another digest than is published, at one HEAD a tag", async (test) => {
      const repository = testRepository(place.prefix);
      const [behind, later, current] = [unique("behind"), unique("later"), unique("current")];
      const [other, changed, gone] = [unique("other"), unique("changed"), unique("gone")];
      const all = [behind, later, current, other, changed, gone];
      const image = async (tag: string) => pinned(repository, tag, await repository.push(tag));
      const [old, qa, good] = [await image("int"), await image("qa"), await image("v1")];
      const removed = await repository.push("gone");
      await place.create([
        { name: behind, image: old },
        { name: later, image: old },
        { name: other, image: qa },
        { name: changed, image: good },
        { name: gone, image: pinned(repository, "gone", removed) },
      ]);
      const landfall = await start(test, repository);
      const next = await image("v1");
      await landfall.hear(repository, "v1");
      await landfall.ended(1);
      await place.putBack(changed, good);
      const newest = await image("int");
      await place.create([{ name: current, image: newest }]);
      await repository.remove(removed);

      const before = await stands(all);
      const log = await registryLog();
      const startedMs = Date.now();
      const report = await landfall.smartRedeploy();
      await landfall.ended(4);
      const tookMs = Date.now() - startedMs;
      expect(rowsOf(report)).toEqual({
        [behind]: [old, digestIn(newest), 1],
        [later]: [old, digestIn(newest), 1],
        [current]: [newest, digestIn(newest), undefined],
        [other]: [qa, digestIn(qa), undefined],
        [changed]: [good, digestIn(next), 2],
        [gone]: [pinned(repository, "gone", removed), undefined, undefined],
      });
      expect(report.rows.find(({ workload }) => workload.endsWith(gone))).toMatchObject({
        verdict: "unknown",
        reason: expect.stringContaining(`${repository.name}:gone`),
      });
      const after = await stands(all);
      expect(after.map((each) => each.image)).toEqual([
        newest,
        newest,
        newest,
        qa,
        next,
        pinned(repository, "gone", removed),
      ]);
      for (const name of [current, other, gone]) {
        expect(after[all.indexOf(name)], name).toEqual(before[all.indexOf(name)]);
      }
      const heads = (await log.calls()).filter(
        (call) =>
          call.method === "HEAD" &&
          call.repository === repository.path &&
          !call.reference.includes(":") &&
          /^landfall\//.test(call.agent),
      );
      const redeployed = ["int", "int", "v1"].flatMap((tag) => Array(place.headsPerRedeploy ?? 0).fill(tag));
      expect(heads.map(({ reference }) => reference).toSorted()).toEqual(
        ["gone", "int", "qa", "v1", ...redeployed].toSorted(),
      );

      expect((await landfall.smartRedeploy()).counts).toEqual({ "in-sync": 5, unknown: 1 });
      expect(await stands(all)).toEqual(after);
      expect(await landfall.ended(4)).toHaveLength(4);
      print(
        `SmartRedeploy: 3 of 6 redeployed within ${tookMs} ms, ${heads.length} HEADs; 0 updates the second time`,
      );
    });
  });

  async function start(test: TestContext, repository: TestRepository): Promise<Reconciled> {
    return startReconciled(test, { follow: [repository], target: await place.target(), env: place.env });
  }

  function unique(name: string): string {
    return `${place.prefix}${name}-${Date.now().toString(36)}`;
  }

  /** What was found to run and to be wanted, and the rollout's number, by name. */
  function rowsOf({ rows }: Report): Readonly<Record<string, readonly unknown[]>> {
    return Object.fromEntries(
      rows.map(({ workload, running, wanted, seq }) => [workload.split("/").at(-1), [running, wanted, seq]]),
    );
  }

  function stands(names: readonly string[]): Promise<readonly Stand[]> {
    return Promise.all(names.map((name) => place.stand(name)));
  }

  function print(text: string): void {
    process.stdout.write(`      ${kind}: ${text}\n`);
  }
}

function pinned({ name }: TestRepository, tag: string, digest: Digest): string {
  return `${name}:${tag}@${digest}`;
}
