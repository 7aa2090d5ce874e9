import { describe, expect, it } from "vitest";
import { smallSwarm } from "../../functions/local/sandbox/swarm/small-swarm.ts";
import { printReference } from "../../shared/domain/reference.ts";
import { engineContract } from "../contracts/engine.ts";
import { smallSwarmWorld } from "../targets/small-swarm-world.ts";

engineContract("a small swarm", async () => {
  const world = smallSwarmWorld();
  return {
    prefix: "",
    task: {},
    image: async (behaviour) => printReference(await world.publish("int", behaviour)),
    async call(method, path, body, headers) {
      const answer = await world.swarm.handle(
        method,
        path,
        body === undefined ? "" : JSON.stringify(body),
        headers,
      );
      return {
        status: answer.status,
        body: answer.status < 300 ? JSON.parse(answer.body) : words(answer.body),
      };
    },
    pass: () => world.clock.advance(100),
    close: async () => {},
  };
});

describe("a small swarm", () => {
  it("goes on after a restart where it was", async () => {
    const world = smallSwarmWorld();
    await world.create("web", await world.publish("int", "runs"), { tasks: 2 });
    const again = smallSwarm({
      clock: world.clock,
      content: world.content,
      state: JSON.parse(JSON.stringify(await world.swarm.snapshot())),
    });
    await world.clock.advance(1_000);
    expect((await again.snapshot()).tasks.map((task) => task.state)).toEqual(["running", "running"]);
    world.swarm.restore(await again.snapshot());
    expect(await world.swarm.snapshot()).toEqual(await again.snapshot());
  });

  it("replaces as many tasks at once as it may, the new one first where told so", async () => {
    const world = smallSwarmWorld();
    const spec = { UpdateConfig: { Parallelism: 2, Order: "start-first", Monitor: 1_000_000_000 } };
    await world.create("web", await world.publish("int", "runs"), { tasks: 3, spec });
    await world.clock.advance(1_000);
    const { Version, Spec } = await world.service("web");
    const image = printReference(await world.publish("int", "runs"));
    const TaskTemplate = { ContainerSpec: { Image: image } };
    expect(await world.post("web", Version.Index, { ...Spec, TaskTemplate })).toBe(200);

    const fewest: number[] = [];
    const most: number[] = [];
    for (let step = 0; step < 30; step++) {
      await world.clock.advance(50);
      const tasks = (await world.swarm.snapshot()).tasks.filter((task) => task.desired === "running");
      fewest.push(tasks.filter((task) => task.state === "running").length);
      most.push(tasks.length);
    }
    expect([Math.min(...fewest), Math.max(...most)]).toEqual([3, 5]);
  });

  it("keeps a task waiting for a node of its platform", async () => {
    const world = smallSwarmWorld();
    const image = await world.publish("int", "runs");
    const TaskTemplate = {
      ContainerSpec: { Image: printReference(image) },
      Placement: { Platforms: [{ OS: "linux", Architecture: "arm64" }] },
    };
    await world.create("web", image, { spec: { TaskTemplate } });
    await world.clock.advance(60_000);
    const { tasks } = await world.swarm.snapshot();
    expect(tasks).toMatchObject([
      { state: "pending", error: "no suitable node (unsupported platform on 1 node)" },
    ]);
  });

  it("pulls with the credentials of the last header that it could read", async () => {
    const world = smallSwarmWorld();
    const image = await world.publish("int", "runs");
    await world.create("web", image);
    const write = async (headers: Record<string, string>) => {
      const { Version, Spec } = await world.service("web");
      const path = `/services/web/update?version=${Version.Index}`;
      expect((await world.swarm.handle("POST", path, JSON.stringify(Spec), headers)).status).toBe(200);
      return (await world.swarm.snapshot()).services[0]?.credentials;
    };
    const credentials = { username: "u", password: "p?~~>" };
    const standard = Buffer.from(JSON.stringify(credentials)).toString("base64");
    expect(standard).toMatch(/[+/]/);
    const urlSafe = standard.replaceAll("+", "-").replaceAll("/", "_");
    expect(urlSafe).toMatch(/=$/);
    expect(await write({ "x-registry-auth": urlSafe })).toEqual(credentials);
    expect(await write({})).toEqual(credentials);
    expect(await write({ "x-registry-auth": standard })).toBeUndefined();
    expect(await write({ "x-registry-auth": urlSafe })).toEqual(credentials);
    expect(await write({ "x-registry-auth": urlSafe.replace(/=+$/, "") })).toBeUndefined();
  });

  it("records an update with the old image and the new one", async () => {
    const world = smallSwarmWorld();
    const [first, second] = [await world.publish("int", "runs"), await world.publish("int", "runs")];
    await world.create("web", first);
    const { ID, Version, Spec } = await world.service("web");
    const TaskTemplate = { ContainerSpec: { Image: printReference(second) } };
    await world.post("web", Version.Index, { ...Spec, TaskTemplate });
    const { events } = await world.swarm.snapshot();
    expect(events.map(({ Action }) => Action)).toEqual(["create", "update"]);
    const names = { "image.old": printReference(first), "image.new": printReference(second) };
    expect(events.at(-1)?.Actor).toEqual({ ID, Attributes: { name: "web", ...names } });
  });

  it("tells what a registry has of an image, and repeats the registry's refusal", async () => {
    const world = smallSwarmWorld();
    const image = await world.publish("int", "runs");
    const ask = async (name: string) => {
      const answer = await world.swarm.handle("GET", `/distribution/${name}/json`);
      return [answer.status, JSON.parse(answer.body)];
    };
    expect(await ask(printReference(image))).toMatchObject([
      200,
      { Descriptor: { digest: image.digest }, Platforms: [{ os: "linux", architecture: "amd64" }] },
    ]);
    expect(await ask("reg.example:5000/acme/web:nope")).toEqual([
      404,
      { message: "manifest unknown: manifest unknown" },
    ]);
    const refuses = smallSwarm({
      clock: world.clock,
      content: () => Promise.reject(new Error("no basic auth credentials")),
    });
    const refused = await refuses.handle("GET", "/distribution/acme/web:v1/json");
    expect(refused).toMatchObject({ status: 500, body: '{"message":"no basic auth credentials"}' });
  });
});

function words(body: string): string {
  return body.startsWith("{") ? JSON.parse(body).message : body;
}
