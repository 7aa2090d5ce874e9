import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Digest } from "../../shared/domain/reference.ts";
import type { ImageBehaviour } from "../doubles/deployment-controller.ts";
import { digestOf } from "../flows/world.ts";
import { type ClusterWorld, clusterWorld } from "./cluster-world.ts";

let cluster: ClusterWorld;
beforeEach(async () => {
  cluster = await clusterWorld();
});
afterEach(() => cluster.close());

const pollMs = 500;

/** The digests of each write, as they were sent. */
const writes = () => cluster.seen.flatMap((each) => (each.kind === "write" ? [each.images] : []));
const web = (letter: string): Readonly<Record<string, Digest>> => ({ web: digestOf(letter) });

describe("an image that fails by itself", () => {
  interface Bad {
    readonly name: string;
    readonly does: ImageBehaviour;
    readonly says: RegExp;
  }
  const bads: readonly Bad[] = [
    { name: "exits at once", does: "exits", says: /exited with code 3/ },
    { name: "exits every 8 s", does: "exits-late", says: /^its tasks do not stay up: \d were lost/ },
    { name: "cannot be started", does: "no-such-program", says: /executable file not found in \$PATH/ },
  ];

  it.each(bads.flatMap((bad) => [1, 3].map((replicas) => ({ ...bad, replicas }))))(
    "$name, $replicas replicas: back to the last good one at the first look, held, and let be",
    async ({ does, says, replicas }) => {
      await cluster.deploy({ web: "a" }, replicas);
      await cluster.push("b");
      await cluster.carryOn();
      cluster.behaviours.set("c", does);
      await cluster.push("c");
      await cluster.carryOn();

      expect(writes()).toEqual([web("b"), web("c"), web("b")]);
      expect(cluster.stands()).toEqual({ images: { web: "b" }, ready: replicas });
      expect(await cluster.record()).toMatchObject({
        holds: [{ digest: digestOf("c"), reason: expect.stringMatching(says) }],
        lastGood: { web: `docker.io/acme/web:v1@${digestOf("b")}` },
      });
      const rolledBack = cluster.seen.findLastIndex(({ kind }) => kind === "write");
      const before = cluster.seen.slice(0, rolledBack);
      const looks = before.slice(before.findLastIndex(({ kind }) => kind === "write") + 1);
      const failing = looks.map((each) => each.kind === "look" && lost(each.look) >= 3);
      // Only the last look before the rollback could have seen it.
      expect(failing).toEqual([...Array(failing.length - 1).fill(false), true]);
      const [last, sent] = [looks.at(-1), cluster.seen[rolledBack]];
      expect((sent?.atMs ?? 0) - (last?.atMs ?? 0)).toBeLessThan(pollMs);

      expect(await cluster.compare()).toEqual([expect.stringMatching(/^skipped: held/)]);
      await cluster.push("c");
      await cluster.carryOn();
      expect(writes()).toHaveLength(3);
      await cluster.push("d");
      await cluster.carryOn();
      expect(cluster.stands()).toEqual({ images: { web: "d" }, ready: replicas });
      expect((await cluster.record()).holds).toEqual([]);
    },
  );

  it.each([1, 3])(
    "never becomes ready, %i replicas: back to the last good one when its time is up",
    async (replicas) => {
      await cluster.deploy({ web: "a" }, replicas);
      cluster.behaviours.set("b", "never-ready");
      await cluster.push("b");
      await cluster.carryOn();
      expect(writes()).toEqual([web("b"), web("a")]);
      expect(cluster.stands()).toEqual({ images: { web: "a" }, ready: replicas });
      expect(await cluster.history()).toEqual([
        expect.stringMatching(
          /^push rolled-back: ReplicaSet "web-\w+" has timed out progressing: not ready$/,
        ),
        expect.stringMatching(/^rollback succeeded/),
      ]);
      expect((await cluster.record()).holds).toMatchObject([{ digest: digestOf("b") }]);
    },
  );

  it("takes a well one of the same rollout back with it, is held alone, and lets that one go out again", async () => {
    await cluster.deploy({ web: "a", side: "s" }, 2);
    cluster.behaviours.set("b", "exits");
    await Promise.all([cluster.push("t", "side"), cluster.push("b")]);
    await cluster.carryOn();
    expect(cluster.stands()).toEqual({ images: { web: "a", side: "s" }, ready: 2 });
    expect(writes().at(-1)).toEqual({ web: digestOf("a"), side: digestOf("s") });
    expect((await cluster.record()).holds).toMatchObject([
      { digest: digestOf("b"), reason: expect.stringMatching(/: web: exited with code 3$/) },
    ]);
    expect((await cluster.compare()).toSorted()).toEqual([
      "missed: undefined",
      expect.stringMatching(/^skipped: held/),
    ]);
    expect(cluster.stands()).toEqual({ images: { web: "a", side: "t" }, ready: 2 });
    expect((await cluster.record()).holds).toMatchObject([{ digest: digestOf("b") }]);
  });
});

describe("an environment that fails", () => {
  it("for ten minutes, as nodes that cannot pull: nothing is held, and it goes out in the end", async () => {
    await cluster.deploy({ web: "a" }, 2);
    cluster.behaviours.set("b", "gone");
    await cluster.push("b");
    await cluster.minutes(10);
    cluster.behaviours.set("b", "runs");
    await cluster.carryOn();
    expect(await cluster.history()).toEqual([
      ...["push", "retry", "retry"].map((cause) =>
        expect.stringMatching(`^${cause} failed: .* has timed out progressing: web: .*[Pp]ull`),
      ),
      expect.stringMatching(/^retry succeeded/),
    ]);
    expect(writes()).toEqual([web("b"), web("b"), web("b")]);
    expect(cluster.stands()).toEqual({ images: { web: "b" }, ready: 2 });
    expect((await cluster.record()).holds).toEqual([]);
  });

  it.each(["before it is written", "while it is verified"])(
    "for ten minutes, as a cluster that cannot be reached %s: nothing is held, nothing undone",
    async (when) => {
      await cluster.deploy({ web: "a" }, 2);
      if (when === "before it is written") cluster.isAway = true;
      await cluster.push("b");
      cluster.isAway = true;
      await cluster.minutes(10);
      cluster.isAway = false;
      await cluster.carryOn();
      expect(writes()).toEqual([web("b")]);
      expect(cluster.stands()).toEqual({ images: { web: "b" }, ready: 2 });
      expect((await cluster.record()).holds).toEqual([]);
    },
  );
});

/** How often its containers ended by themselves, as one look shows it. */
function lost({
  tasks,
}: {
  readonly tasks: readonly { readonly restarts: number; readonly state: string }[];
}): number {
  return tasks.reduce((sum, task) => sum + task.restarts + (task.state === "failed" ? 1 : 0), 0);
}
