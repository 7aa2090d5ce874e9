import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Digest, Reference, Repository } from "../../shared/domain/reference.ts";
import type { Workload } from "../../shared/domain/workload.ts";
import type { Capabilities, Look, Target, TaskLook } from "../../shared/targets/target.ts";

/** An image in a registry that the target's nodes can pull from. */
export interface PublishedImage extends Reference {
  readonly repository: Repository;
  readonly tag: string;
  readonly digest: Digest;
}

/** A target with what stands behind it; new for each test. */
export interface TargetWorld {
  readonly target: Target;
  /** A target of the same kind at an address where nothing listens. */
  readonly unreachable: Target;
  /** What every workload's name begins with, for worlds that others share. */
  readonly prefix: string;
  /** Pushes another image under the tag. `exits`: it ends with code 3 as soon as it runs. `gone`: nobody can pull it. */
  publish(tag: string, behaviour: "runs" | "exits" | "gone"): Promise<PublishedImage>;
  createWorkload(name: string, image: Reference, options?: WorkloadOptions): Promise<void>;
  /** Somebody else changes a label of the workload. */
  touch(name: string): Promise<void>;
  remove(name: string): Promise<void>;
  /** Somebody else writes the workload as it is; for targets that roll back to the previous only. */
  readonly writeUnchanged?: (name: string) => Promise<void>;
  /** The workload's definition, as the platform has it, without what a rollout is there to change. */
  rest(name: string): Promise<unknown>;
  /** The next update, or going back, is done, and its answer is lost; present where the trait says so. */
  readonly loseNextAnswer?: (of: "update" | "going back") => void;
  /** Lets a moment pass. */
  pass(): Promise<void>;
  close(): Promise<void>;
}

/** What a kind of target declares, and what its world can arrange: they decide which sentences hold for it. */
export interface TargetTraits extends Capabilities {
  readonly losesAnswers: boolean;
}

export interface WorkloadOptions {
  readonly tasks?: number;
  readonly labels?: Readonly<Record<string, string>>;
  /** Where settings do not act. */
  readonly containerLabels?: Readonly<Record<string, string>>;
}

const maxLooks = 240;

/**
 * What every kind of target must do, for one whose workloads have one container. What only some can do is asked of
 * those that declare the capability.
 */
export function targetContract(
  name: string,
  { losesAnswers, ...capabilities }: TargetTraits,
  make: () => Promise<TargetWorld>,
): void {
  describe(name, () => {
    let world: TargetWorld;
    beforeEach(async () => {
      world = await make();
    });
    afterEach(() => world.close());

    const web = () => `${world.prefix}web`;

    async function running(behaviour: "runs" | "exits" = "runs", options?: WorkloadOptions) {
      const first = await world.publish("int", "runs");
      await world.createWorkload(web(), first, options);
      await until(({ tasks, wantedTasks }) => current(tasks, first).length === wantedTasks);
      return { first, second: await world.publish("int", behaviour) };
    }

    async function read(workload = web()): Promise<Workload> {
      const found = await world.target.get(workload);
      if (found === undefined) throw new Error(`${workload} is not there`);
      return found;
    }

    const listed = async () => (await world.target.list()).find((workload) => workload.name === web());

    const deploy = (workload: Workload, image: Reference, seq = 7) =>
      world.target.update(workload, { seq, images: { [containerOf(workload)]: image } });

    async function until(satisfied: (look: Look) => boolean): Promise<Look> {
      let last: Look | undefined;
      for (let looks = 0; looks < maxLooks; looks++) {
        last = await world.target.look(web());
        if (last !== undefined && satisfied(last)) return last;
        await world.pass();
      }
      throw new Error(`not seen in ${maxLooks} looks; the last: ${JSON.stringify(shown(last))}`);
    }

    it("declares the capabilities that it is held to", () => {
      expect(world.target.capabilities).toEqual(capabilities);
    });

    it("lists every workload with its container and the image that its definition names", async () => {
      const image = await world.publish("int", "runs");
      const names = [web(), `${world.prefix}worker`];
      for (const each of names) await world.createWorkload(each, image);
      const listed = await world.target.list();
      expect(listed.filter((each) => names.includes(each.name))).toHaveLength(2);
      for (const each of names) {
        const found = listed.find((workload) => workload.name === each);
        expect(found).toMatchObject({ id: `${world.target.name}/${each}`, target: world.target.name });
        expect(found?.containers).toHaveLength(1);
        expect(found?.containers[0]?.reference).toEqual(image);
      }
    });

    it("gets by exact name only, and the same as it lists", async () => {
      await world.createWorkload(web(), await world.publish("int", "runs"));
      await until(({ tasks }) => tasks.some((task) => task.state === "running"));
      const listed = (await world.target.list()).find((workload) => workload.name === web());
      const { raw: _, version: __, ...facts } = await read();
      expect(listed).toMatchObject(facts);
      expect(await world.target.get(web().slice(0, -1))).toBeUndefined();
      expect(await world.target.look(web().slice(0, -1))).toBeUndefined();
    });

    it("reads settings from the workload's own labels and reports those that do not act", async () => {
      await world.createWorkload(web(), await world.publish("int", "runs"), {
        labels: { "landfall.pause": "true", team: "forms" },
        containerLabels: { "landfall.policy": "none", team: "forms" },
      });
      expect(await read()).toMatchObject({
        settings: { pause: "true" },
        misplacedSettings: ["landfall.policy"],
        fence: 0,
      });
    });

    it("brings the workload to the new image and leaves the rest of its definition alone", async () => {
      const { second } = await running("runs", { labels: { team: "forms" }, tasks: 2 });
      const before = await world.rest(web());
      expect(await deploy(await read(), second)).toEqual({ kind: "accepted" });
      expect((await read()).containers[0]?.reference).toEqual(second);
      expect(await world.rest(web())).toEqual(before);
    });

    it("brings the workload and its tasks to another tag of the repository", async () => {
      const { first } = await running("runs", { labels: { team: "forms" } });
      const other = await world.publish("v1.3.0_3f2c1d0", "runs");
      const before = await world.rest(web());
      expect(await deploy(await read(), other)).toEqual({ kind: "accepted" });
      expect((await read()).containers[0]?.reference).toEqual(other);
      expect(await world.rest(web())).toEqual(before);
      const look = await until(
        ({ tasks, update }) => update === "completed" && current(tasks, other).length === 1,
      );
      expect(look.workload.containers[0]?.reference).toEqual(other);
      expect(look.tasks.filter((task) => task.desired && !isOf(task, other))).toEqual([]);
      expect(await deploy(await read(), first)).toEqual({ kind: "accepted" });
      expect((await read()).containers[0]?.reference).toMatchObject({ tag: "int" });
    });

    it("shows the new tasks until all of them run and the update is over", async () => {
      const { first, second } = await running("runs", { tasks: 2 });
      await deploy(await read(), second);
      const look = await until(
        ({ tasks, update }) => update === "completed" && current(tasks, second).length === 2,
      );
      expect(look.wantedTasks).toBe(2);
      expect(look.windowMs).toBeGreaterThan(0);
      expect(look.workload.containers[0]?.reference).toEqual(second);
      expect(new Set(current(look.tasks, second).map((task) => task.slot)).size).toBe(2);
      expect(look.tasks.filter((task) => task.desired && !isOf(task, second))).toEqual([]);
      expect(current(look.tasks, first)).toEqual([]);
      const [old] = look.tasks.filter((task) => isOf(task, first));
      const [task] = current(look.tasks, second);
      expect(task?.createdMs).toBeGreaterThan(old?.createdMs ?? Infinity);
    });

    it("shows a failing image in the target's own words, and that it is the image's fault", async () => {
      const { second } = await running("exits");
      await deploy(await read(), second);
      const failed = (task: TaskLook) => isOf(task, second) && task.state === "failed";
      const look = await until(({ tasks, update }) => update === "paused" && tasks.some(failed));
      expect(look.message).toMatch(/paused|timed out/);
      expect(look.tasks.find(failed)).toMatchObject({ error: expect.stringMatching(/exit.*3/) });
      expect(look.tasks.find(failed)?.environment ?? false).toBe(false);
    });

    it("wants no tasks of a workload that is scaled to none, and says so", async () => {
      const { second } = await running("runs", { tasks: 0 });
      expect(await deploy(await read(), second)).toEqual({ kind: "accepted" });
      await world.pass();
      expect(await world.target.look(web())).toMatchObject({ wantedTasks: 0, tasks: [] });
    });

    it("says that a workload is gone, on a read and on a write", async () => {
      const { second } = await running();
      const before = await read();
      await world.remove(web());
      expect(await deploy(before, second)).toEqual({ kind: "gone" });
      expect(await world.target.get(web())).toBeUndefined();
      expect(await world.target.look(web())).toBeUndefined();
    });

    if (capabilities.fences) {
      it("refuses a write on a version that somebody has changed since, and writes on the new one", async () => {
        const { first, second } = await running();
        const before = await read();
        await world.touch(web());
        expect(await deploy(before, second)).toEqual({ kind: "conflict" });
        expect((await read()).containers[0]?.reference).toEqual(first);
        expect(await deploy(await read(), second)).toEqual({ kind: "accepted" });
      });

      it("writes the rollout's number with the change, and replaces no task for the number alone", async () => {
        const { second } = await running();
        await deploy(await read(), second, 41);
        expect(await read()).toMatchObject({ fence: 41, settings: {} });
        const before = await until(({ update }) => update === "completed");
        await deploy(await read(), second, 42);
        await world.pass();
        const after = await world.target.look(web());
        expect(after?.workload.fence).toBe(42);
        expect(after?.tasks.map((task) => task.id)).toEqual(before.tasks.map((task) => task.id));
      });
    }

    if (capabilities.pins) {
      it("deploys the digest that it is told although the tag has moved on", async () => {
        const { second } = await running();
        const third = await world.publish("int", "runs");
        await deploy(await read(), second);
        expect((await read()).containers[0]?.reference).toEqual(second);
        await until(({ tasks }) => current(tasks, second).length === 1);
        expect(third.digest).not.toBe(second.digest);
      });

      it("shows an image that cannot be pulled as trouble of the environment", async () => {
        await running();
        const gone = await world.publish("int", "gone");
        await deploy(await read(), gone);
        const failed = (task: TaskLook) => isOf(task, gone) && task.state === "failed";
        const look = await until(({ tasks }) => tasks.some(failed));
        expect(look.tasks.find(failed)).toMatchObject({
          environment: true,
          error: expect.stringMatching(/image/i),
        });
      });
    }

    if (losesAnswers) {
      it.each(["int", "v2"])(
        "calls a lost answer unknown, whatever became of the write (%s)",
        async (tag) => {
          await running();
          const second = await world.publish(tag, "runs");
          const before = await read();
          expect(world.loseNextAnswer).toBeDefined();
          world.loseNextAnswer?.("update");
          expect(await deploy(before, second)).toMatchObject({ kind: "unknown" });
          expect((await read()).containers[0]?.reference).toEqual(second);
        },
      );
    }

    if (capabilities.rollsBackTo === "previous") {
      const goBack = (workload: Workload, target = world.target) =>
        target.goBack?.(workload) ?? Promise.reject(new Error("it cannot go back"));
      const settled = (image: Reference) => (look: Look) =>
        look.update !== "updating" && look.update !== "none" && current(look.tasks, image).length === 1;

      it("has a stamp that tells whether one write of ours is all that happened", async () => {
        const { first, second } = await running();
        const { stamp: before } = await read();
        expect(await deploy(await read(), second)).toEqual({ kind: "accepted" });
        await until(settled(second));
        const after = await read();
        expect(after.stamp?.now).toBe(before?.next);
        expect((await listed())?.stamp).toEqual(after.stamp);
        expect(after.stamp?.next).not.toBe(before?.next);
        await world.touch(web());
        expect((await read()).stamp?.now).not.toBe(before?.next);
        expect(first.digest).not.toBe(second.digest);
      });

      it("has another stamp after a write that changes nothing", async () => {
        const { second } = await running();
        const { stamp: before } = await read();
        await deploy(await read(), second);
        await until(settled(second));
        await world.writeUnchanged?.(web());
        expect((await read()).stamp?.now).not.toBe(before?.next);
      });

      it("has another stamp after two of our writes", async () => {
        const { second } = await running();
        const { stamp: before } = await read();
        for (const publish of [async () => second, () => world.publish("int", "runs")]) {
          const image = await publish();
          expect(await deploy(await read(), image)).toEqual({ kind: "accepted" });
          await until(settled(image));
        }
        expect((await read()).stamp?.now).not.toBe(before?.next);
      });

      it("goes back to what the newest write replaced, tasks and all, and forward again after that", async () => {
        const { first, second } = await running("runs", { labels: { team: "forms" } });
        const before = await world.rest(web());
        await deploy(await read(), second);
        await until(settled(second));
        expect(await goBack(await read())).toEqual({ kind: "accepted" });
        expect((await read()).containers[0]?.reference).toEqual(first);
        expect(await world.rest(web())).toEqual(before);
        const look = await until(settled(first));
        expect(look.update).toBe("completed");
        expect(await goBack(await read())).toEqual({ kind: "accepted" });
        expect((await read()).containers[0]?.reference).toEqual(second);
      });

      it("goes back from an image that fails", async () => {
        const { first, second } = await running("exits");
        await deploy(await read(), second);
        await until(({ update }) => update === "paused");
        expect(await goBack(await read())).toEqual({ kind: "accepted" });
        await until(settled(first));
      });

      it("refuses to go back where nothing was ever replaced", async () => {
        const { first } = await running();
        expect(await goBack(await read())).toMatchObject({ kind: "refused" });
        expect((await read()).containers[0]?.reference).toEqual(first);
      });

      it("does not go back from what somebody has changed or removed since", async () => {
        const { second } = await running();
        await deploy(await read(), second);
        await until(settled(second));
        const before = await read();
        await world.touch(web());
        expect(await goBack(before)).toEqual({ kind: "conflict" });
        expect((await read()).containers[0]?.reference).toEqual(second);
        await world.remove(web());
        expect(await goBack(before)).toEqual({ kind: "gone" });
      });

      it("calls a lost answer of going back unknown, whatever became of it", async () => {
        const { first, second } = await running();
        await deploy(await read(), second);
        await until(settled(second));
        const before = await read();
        world.loseNextAnswer?.("going back");
        expect(await goBack(before)).toMatchObject({ kind: "unknown" });
        expect((await read()).containers[0]?.reference).toEqual(first);
      });

      it("says that nothing is known of going back when the target cannot be reached", async () => {
        await running();
        const before = await read();
        await expect(goBack(before, world.unreachable)).rejects.toMatchObject({ code: "TARGET_UNAVAILABLE" });
      });
    } else {
      it("has no stamp, and needs none", async () => {
        await running();
        expect((await read()).stamp).toBeUndefined();
        expect(world.target.goBack).toBeUndefined();
      });
    }

    it("says that nothing is known when the target cannot be reached", async () => {
      const { second } = await running();
      const before = await read();
      const { unreachable } = world;
      const images = { [containerOf(before)]: second };
      const calls = [
        () => unreachable.list(),
        () => unreachable.get(web()),
        () => unreachable.look(web()),
        () => unreachable.update(before, { seq: 1, images }),
      ];
      for (const call of calls) await expect(call()).rejects.toMatchObject({ code: "TARGET_UNAVAILABLE" });
    });
  });
}

function containerOf(workload: Workload): string {
  const [container] = workload.containers;
  if (container === undefined) throw new Error(`${workload.id} has no container`);
  return container.name;
}

/** The tasks that run that image and are wanted. */
function current(tasks: readonly TaskLook[], image: Reference): readonly TaskLook[] {
  return tasks.filter((task) => task.desired && task.state === "running" && isOf(task, image));
}

function isOf(task: TaskLook, image: Reference): boolean {
  return Object.values(task.images).some((each) => each.endsWith(`@${image.digest}`));
}

function shown(look: Look | undefined): unknown {
  const { workload, ...rest } = look ?? {};
  return { images: workload?.containers.map(({ image }) => image), ...rest };
}
