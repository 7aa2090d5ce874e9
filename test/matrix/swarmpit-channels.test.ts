import { afterEach, beforeEach, expect, it } from "vitest";
import type { Digest } from "../../shared/domain/reference.ts";
import { logLinear } from "../contracts/history-graphs.ts";
import { memoryGraph } from "../doubles/commit-graph.ts";
import { gitServer } from "../doubles/git-server.ts";
import type { Place } from "./place.ts";
import { type Matrix, matrix } from "./world.ts";
// Loaded before time stands still: the world does not wait for a module, and its deadlines would pass.
import "../../shared/history/git/git.ts";

let world: Matrix;
let place: Place;
let server: Awaited<ReturnType<typeof gitServer>>;
const graph = memoryGraph(logLinear);
const [c1, c2, c3, c6] = [graph.id("c1"), graph.id("c2"), graph.id("c3"), graph.id("c6")];
const failing = { command: ["exit", "3", "8000"] };

/** A service on a channel, whose second build was promoted and verified. */
beforeEach(async () => {
  server = await gitServer();
  server.add("web", graph);
  world = await matrix({
    targets: [{ name: "pit", kind: "swarmpit" }],
    more: (repository) => `
git: [{ host: git.example, kind: git, url: "${server.origin}", plainHttp: true }]
images:
  - image: "${repository}"
    git: { url: "https://git.example/web", branch: main }
    channels: [{ tag: prod }]
`,
  });
  place = world.place("pit");
  const first = world.push(c1);
  world.push("prod", { content: "push 1" });
  await place.create("web", world.image(first, "prod"));
});
afterEach(async () => {
  await world.close();
  await server.close();
});

const posts = () =>
  place.way.passed.filter((call) => call.startsWith("POST ")).map((call) => call.replace(/.*\//, ""));
const workload = () => world.workload("pit/web");

async function built(commit: string, image: object = {}): Promise<Digest> {
  const digest = world.push(commit, image);
  await world.publish(commit, { tag: commit });
  return digest;
}

it("a channel's service goes back to a build by its commit's tag, and on with the channel", async () => {
  const second = await built(c2);
  await world.carryOn();
  expect(await place.running()).toEqual([world.image(second, "prod")]);
  const third = await built(c3, failing);
  for (let steps = 0; (await workload()).open?.state !== "verifying"; steps++) {
    if (steps > 200) throw new Error("it is not deployed");
    await world.pass(100);
  }
  await place.change("web", (spec) => ({ ...spec, Labels: { touched: "yes" } }));
  await world.carryOn();
  expect(posts()).toEqual(["redeploy", "redeploy", `redeploy?tag=${c2}`]);
  expect(await place.running()).toEqual([world.image(second, c2)]);
  expect(await workload()).toMatchObject({
    detours: { web: { at: c2, follows: "prod" } },
    holds: [{ digest: third }],
  });

  const fourth = await built(c6);
  await world.carryOn();
  expect(posts().slice(3)).toEqual(["redeploy?tag=prod"]);
  expect(await place.running()).toEqual([world.image(fourth, "prod")]);
  expect((await workload()).detours).toEqual({});
});

it("a channel's service that is brought to a build by order stays on its channel", async () => {
  const second = await built(c2);
  await world.carryOn();
  const heardMs = world.clock.now();
  const image = `${world.registry.host}/acme/web` as const;
  const order = { do: "deploy", workload: "pit/web", until: "next", image, tag: c1 } as const;
  await world.deps.bus.publish([{ kind: "order", event: "order", heardMs, by: "ann", order }]);
  await world.carryOn();
  expect(posts()).toEqual(["redeploy", `redeploy?tag=${c1}`]);
  expect((await workload()).detours).toEqual({ web: { at: c1, follows: "prod" } });
  expect((await workload()).deployed).not.toEqual({ web: second });

  const third = await built(c3);
  await world.carryOn();
  expect(posts().slice(2)).toEqual(["redeploy?tag=prod"]);
  expect(await place.running()).toEqual([world.image(third, "prod")]);
});
