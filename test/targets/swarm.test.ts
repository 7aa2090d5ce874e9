import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import type { Fault } from "../../functions/local/sandbox/swarm/small-swarm.ts";
import type { Digest } from "../../shared/domain/reference.ts";
import type { Platform } from "../../shared/domain/workload.ts";
import { compareVersions, newestVersion, parseExact } from "../../shared/targets/swarm/client.ts";
import { SwarmConfig } from "../../shared/targets/swarm/config.ts";
import {
  nodePlatforms,
  toLook,
  toTask,
  toWorkload,
  updateOf,
  wantedTasksOf,
} from "../../shared/targets/swarm/map.ts";
import { ServiceWire, TaskWire } from "../../shared/targets/swarm/schema.ts";
import { platformWire, withImage } from "../../shared/targets/swarm/spec.ts";
import { create, registryAuth } from "../../shared/targets/swarm/swarm.ts";
import type { Target } from "../../shared/targets/target.ts";
import { targetContract } from "../contracts/target.ts";
import { smallSwarmWorld } from "./small-swarm-world.ts";

const context = { secret: (text: string) => () => text, pullCredentials: () => undefined };

targetContract(
  "a Docker Swarm (small)",
  { pins: true, fences: true, rollsBackTo: "any", losesAnswers: true },
  async () => {
    const world = smallSwarmWorld();
    const server = await world.swarm.listen(0);
    const target = create({ name: "swarm", kind: "swarm", host: `tcp://127.0.0.1:${server.port}` }, context);
    const unreachable = create({ name: "swarm", kind: "swarm", host: "tcp://127.0.0.1:1" }, context);
    return {
      target,
      unreachable,
      prefix: "",
      publish: world.publish,
      createWorkload: world.create,
      async touch(name) {
        const { Version, Spec } = await world.service(name);
        await world.post(name, Version.Index, { ...Spec, Labels: { ...Spec.Labels, touched: "yes" } });
      },
      remove: async (name) => void (await world.swarm.handle("DELETE", `/services/${name}`)),
      async rest(name) {
        const { Spec } = await world.service(name);
        return JSON.parse(
          JSON.stringify(Spec, (key, value) =>
            ["Image", "Platforms", "landfall.seq"].includes(key) ? undefined : value,
          ),
        );
      },
      loseNextAnswer: () => world.swarm.inject({ kind: "lose-answer", on: /^POST / }),
      pass: () => world.clock.advance(500),
      async close() {
        await target.close();
        await server.close();
      },
    };
  },
);

describe("a Docker Swarm's client", () => {
  it.each<{ name: string; fault: Fault; outcome: object }>([
    { name: "a lost race", fault: { kind: "conflict" }, outcome: { kind: "conflict" } },
    {
      name: "a lost race with a status of its own",
      fault: { kind: "answer", status: 409, message: "update out of sequence" },
      outcome: { kind: "conflict" },
    },
    {
      name: "another conflict",
      fault: { kind: "answer", status: 409, message: "port 80 is taken" },
      outcome: { kind: "refused", message: "the engine refused the update: port 80 is taken" },
    },
    {
      name: "an invalid spec",
      fault: { kind: "answer", status: 400, message: "invalid mount" },
      outcome: { kind: "refused", message: "the engine refused the update: invalid mount" },
    },
    {
      name: "what is not supported",
      fault: { kind: "answer", status: 501, message: "not supported" },
      outcome: { kind: "refused", message: "the engine refused the update: not supported" },
    },
    {
      name: "trouble of the engine's own",
      fault: { kind: "answer", status: 500, message: "context deadline exceeded" },
      outcome: { kind: "unknown", message: "the engine answered 500: context deadline exceeded" },
    },
    {
      name: "a proxy that waited too long",
      fault: { kind: "answer", status: 504, message: "" },
      outcome: { kind: "unknown", message: "the engine answered 504" },
    },
    {
      name: "a connection that broke",
      fault: { kind: "drop" },
      outcome: { kind: "unknown", message: expect.stringContaining("no answer") },
    },
  ])("tells $name", async ({ fault, outcome }) => {
    const { world, target, deploy } = await standing();
    world.swarm.inject({ ...fault, on: /^POST / });
    expect(await deploy()).toEqual(outcome);
    await target.close();
  });

  it.each<{ name: string; on: RegExp; fault: Fault; error: object }>([
    {
      name: "a node that is no manager",
      on: /services/,
      fault: { kind: "answer", status: 503, message: "This node is not a swarm manager." },
      error: { code: "TARGET_UNAVAILABLE", message: expect.stringContaining("not a swarm manager") },
    },
    {
      name: "a proxy that allows too little",
      on: /services/,
      fault: { kind: "answer", status: 403, message: "forbidden" },
      error: { code: "TARGET_DENIED", message: expect.stringContaining("allow /_ping, /services") },
    },
    {
      name: "another server",
      on: /services/,
      fault: { kind: "answer", status: 404, message: "page not found" },
      error: { code: "TARGET_UNAVAILABLE", message: expect.stringContaining("page not found") },
    },
    {
      name: "an engine that hangs up before anything was sent",
      on: /_ping/,
      fault: { kind: "drop" },
      error: { code: "TARGET_UNAVAILABLE" },
    },
  ])("knows nothing by way of $name, on reads and on writes", async ({ on, fault, error }) => {
    const { world, deploy, name } = await standing();
    for (const call of [
      (fresh: Target) => fresh.list(),
      (fresh: Target) => fresh.get(name),
      (fresh: Target) => fresh.look(name),
      (fresh: Target) => deploy(fresh),
    ]) {
      const fresh = create(world.config, context);
      world.swarm.inject({ ...fault, on });
      await expect(call(fresh)).rejects.toMatchObject(error);
      await fresh.close();
    }
  });

  it("asks for no newer version than the engine has, and only once", async () => {
    const { world, target, name } = await standing();
    world.swarm.versions.newest = "1.44";
    const fresh = create(world.config, context);
    const before = world.swarm.calls.length;
    await fresh.list();
    await fresh.look(name);
    expect(world.swarm.calls.slice(before).map((call) => call.replace(/\?.*/, ""))).toEqual([
      "GET /_ping",
      "GET /v1.44/services",
      `GET /v1.44/services/${name}`,
      "GET /v1.44/tasks",
    ]);
    await target.close();
  });

  it.each<{ name: string; newest: string; oldest: string; asked: string }>([
    { name: "too new", newest: "1.40", oldest: "1.12", asked: "v1.40" },
    { name: "too old", newest: "1.52", oldest: "1.44", asked: `v${newestVersion}` },
  ])("asks anew when the engine is replaced and the version is $name", async ({ newest, oldest, asked }) => {
    const { world, target, deploy } = await standing();
    Object.assign(world.swarm.versions, { newest, oldest });
    expect(await deploy()).toEqual({ kind: "accepted" });
    expect(world.swarm.calls.at(-1)).toContain(`POST /${asked}/`);
    await target.close();
  });

  it("takes no id for a name", async () => {
    const { world, target, name } = await standing();
    const { ID } = await world.service(name);
    expect(await target.get(ID)).toBeUndefined();
    expect(await target.get(ID.slice(0, 5))).toBeUndefined();
    await target.close();
  });

  it("says of what it lists how its tasks stand, and takes no write that is based on that", async () => {
    const { world, target } = await standing();
    const [listed] = await target.list();
    expect(listed?.standing).toEqual({ wanted: 1, running: 0 });
    const second = await world.publish("int", "runs");
    if (listed === undefined) throw new Error("it is not there");
    expect(await target.update(listed, { seq: 1, images: { [listed.name]: second } })).toEqual({
      kind: "conflict",
    });
    await target.close();
  });

  it("leaves jobs and what it cannot read aside, without losing the others", async () => {
    const { world, target, name } = await standing();
    const image = await world.publish("int", "runs");
    await world.create("job", image, { spec: { Mode: { ReplicatedJob: {} } } });
    const labels = { Labels: { broken: 7 } };
    await world.create("odd", image, { spec: labels });
    expect((await target.list()).map((workload) => workload.name)).toEqual([name]);
    expect(await target.get("job")).toBeUndefined();
    await target.close();
  });

  it("sends credentials for that host only, and says no word of them or of the environment", async () => {
    const { world, deploy } = await standing();
    const target = create(world.config, {
      ...context,
      pullCredentials: (host) =>
        host === "reg.example:5000" ? { username: "u", password: "hidden?~" } : undefined,
    });
    const said: string[] = [];
    for (const status of [400, 409, 500]) {
      world.swarm.inject({ kind: "answer", status, message: "no", on: /^POST / });
      said.push(JSON.stringify(await deploy(target)));
    }
    world.swarm.inject({ kind: "answer", status: 503, message: "no", on: /^POST / });
    said.push(String(await deploy(target).catch((error: unknown) => error)));
    expect(said.join()).not.toMatch(/hidden/);
    expect(await deploy(target)).toEqual({ kind: "accepted" });
    const { services } = await world.swarm.snapshot();
    expect(services[0]?.credentials).toEqual({ username: "u", password: "hidden?~" });
    await target.close();
  });
});

describe("a spec with another image", () => {
  const digest: Digest = `sha256:${"a".repeat(64)}`;

  it("differs in image, platforms and fence alone, whatever else is in it", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue(), (unknown, value) => {
        const spec = {
          ...unknown,
          Labels: { team: "forms" },
          TaskTemplate: {
            ...unknown,
            ContainerSpec: { Image: "acme/web:v1", Env: ["A=b"], future: value },
            Placement: { Constraints: ["node.role == worker"], Platforms: [{ OS: "linux" }], future: value },
          },
        };
        const image = { repository: "docker.io/acme/web", tag: "v2", digest } as const;
        const platforms = [{ os: "linux", architecture: "amd64" }];
        const next = withImage(spec, image, { seq: 3, images: {}, platforms });
        expect(next).toEqual({
          ...spec,
          Labels: { team: "forms", "landfall.seq": "3" },
          TaskTemplate: {
            ...spec.TaskTemplate,
            ContainerSpec: { ...spec.TaskTemplate.ContainerSpec, Image: `acme/web:v2@${digest}` },
            Placement: {
              ...spec.TaskTemplate.Placement,
              Platforms: [{ OS: "linux", Architecture: "amd64" }],
            },
          },
        });
      }),
    );
  });

  it("loses the platforms of the old image when the new one names none", () => {
    const spec = {
      TaskTemplate: {
        ContainerSpec: { Image: "nginx" },
        Placement: { MaxReplicas: 2, Platforms: [{ OS: "linux", Architecture: "arm64" }] },
      },
    };
    const next = withImage(
      spec,
      { repository: "docker.io/library/nginx", tag: "1", digest },
      { seq: 1, images: {} },
    );
    expect(next.TaskTemplate.Placement).toEqual({ MaxReplicas: 2 });
  });

  it.each<{ name: string; platform: Platform; wire: object }>([
    {
      name: "amd64",
      platform: { os: "linux", architecture: "amd64" },
      wire: { Architecture: "amd64", OS: "linux" },
    },
    {
      name: "arm64 without its variant",
      platform: { os: "linux", architecture: "arm64", variant: "v8" },
      wire: { Architecture: "arm64", OS: "linux" },
    },
    {
      name: "arm as any",
      platform: { os: "linux", architecture: "arm", variant: "v7" },
      wire: { OS: "linux" },
    },
    {
      name: "an attestation",
      platform: { os: "unknown", architecture: "unknown" },
      wire: { Architecture: "unknown", OS: "unknown" },
    },
    { name: "nothing", platform: { os: "", architecture: "" }, wire: {} },
  ])("spells $name as the docker command line does", ({ platform, wire }) => {
    expect(platformWire(platform)).toEqual(wire);
  });

  it("reads numbers that JavaScript cannot hold so that they are written the same", () => {
    const text =
      '{"MaxAttempts":18446744073709551615,"Monitor":5000000000,"Ratio":0.25,"List":[-9223372036854775808,1]}';
    expect(JSON.stringify(parseExact(text))).toBe(text);
  });
});

describe("the header with registry credentials", () => {
  it.each([
    { password: "a?~b" },
    { password: "??>>~~" },
    { password: "ü¿ÿþ" },
    { password: "x" },
    { password: "xy" },
  ])("is URL-safe and padded for the password $password", ({ password }) => {
    const header = registryAuth("reg.example:5000", { username: "u", password });
    expect(header).toMatch(/^[A-Za-z0-9_-]+={0,2}$/);
    expect(header.length % 4).toBe(0);
    expect(JSON.parse(Buffer.from(header, "base64url").toString())).toEqual({
      username: "u",
      password,
      serveraddress: "reg.example:5000",
    });
  });
  it("needs both letters that base64 spells in two ways, and padding, to be proven", () => {
    const header = registryAuth("reg.example:5000", { username: "u", password: "??>>~~" });
    expect(header).toMatch(/-/);
    expect(registryAuth("reg.example:5000", { username: "u", password: "a?~b" })).toMatch(/_/);
  });
});

describe("versions of the engine's API", () => {
  it.each([
    { left: "1.9", right: "1.41", order: -1 },
    { left: "1.40", right: "1.4", order: 1 },
    { left: "1.41", right: "1.41", order: 0 },
    { left: "2.0", right: "1.99", order: 1 },
  ])("compares $left and $right as integers", ({ left, right, order }) => {
    expect(Math.sign(compareVersions(left, right))).toBe(order);
  });
});

describe("what a Swarm says of a workload", () => {
  const service = (changes: object, update?: object): ServiceWire =>
    ServiceWire.parse({
      ID: "id",
      Version: { Index: 7 },
      Spec: { Name: "web", TaskTemplate: { ContainerSpec: { Image: "acme/web:v1" } }, ...changes },
      ...update,
    });
  const task = (changes: object): TaskWire =>
    TaskWire.parse({ ID: "t", Slot: 1, DesiredState: "running", Status: { State: "running" }, ...changes });

  it("reads labels exactly", () => {
    const labels = (Labels: object) => toWorkload("swarm", service({ Labels }), undefined);
    const auto = "swarmpit.service.deployment.autoredeploy";
    expect(labels({ [auto]: "true" }).managedBy).toBe("swarmpit autoredeploy");
    expect(labels({ [auto]: "True" }).managedBy).toBeUndefined();
    expect(labels({ "landfall.seq": "12" })).toMatchObject({ fence: 12, settings: {} });
    expect(labels({ "landfall.seq": "-1" }).fence).toBe(0);
    expect(labels({ "landfall.policy.web": "none" }).settings).toEqual({ "policy.web": "none" });
  });

  it.each([
    { state: undefined, update: "none" },
    { state: "updating", update: "updating" },
    { state: "completed", update: "completed" },
    { state: "paused", update: "paused" },
    { state: "rollback_started", update: "rolling-back" },
    { state: "rollback_completed", update: "rolled-back" },
    { state: "rollback_paused", update: "rolled-back" },
  ])("calls an update that is $state $update", ({ state, update }) => {
    expect(updateOf(state)).toBe(update);
  });

  it.each<{ name: string; wire: object; look: object }>([
    { name: "runs", wire: {}, look: { state: "running", desired: true, slot: "1" } },
    {
      name: "waits for its predecessor",
      wire: { DesiredState: "ready", Status: { State: "new" } },
      look: { state: "starting", desired: true },
    },
    {
      name: "was stopped",
      wire: { DesiredState: "shutdown", Status: { State: "shutdown" } },
      look: { state: "running", desired: false },
    },
    {
      name: "failed by itself",
      wire: { DesiredState: "shutdown", Status: { State: "failed", Err: "task: non-zero exit (1)" } },
      look: { state: "failed", desired: false, error: "task: non-zero exit (1)" },
    },
    {
      name: "ended well, which a service never should",
      wire: { DesiredState: "shutdown", Status: { State: "complete" } },
      look: { state: "failed", error: "the task ended by itself with exit code 0" },
    },
    {
      name: "could not be pulled",
      wire: { Status: { State: "rejected", Err: "No such image: acme/web:v1" } },
      look: { state: "failed", environment: true, error: "No such image: acme/web:v1" },
    },
    {
      name: "was started on a node that is too busy",
      wire: { Status: { State: "failed", Err: "network sandbox does not exist for container web.1.x" } },
      look: { state: "failed", environment: true },
    },
    {
      name: "finds no node",
      wire: { Status: { State: "pending", Err: "no suitable node (unsupported platform on 1 node)" } },
      look: { state: "starting", environment: true },
    },
    {
      name: "waits its turn",
      wire: { Status: { State: "pending" } },
      look: { state: "starting", desired: true },
    },
    {
      name: "was lost with its node",
      wire: { Status: { State: "orphaned" } },
      look: { state: "failed", environment: true },
    },
    { name: "is one of a global service", wire: { Slot: undefined, NodeID: "node" }, look: { slot: "node" } },
  ])("shows a task that $name", ({ wire, look }) => {
    const { environment, ...shown } = toTask("web", task(wire));
    expect({ ...shown, ...(environment === undefined ? {} : { environment }) }).toMatchObject(look);
    expect(environment ?? false).toBe("environment" in look);
  });

  it("wants a task of a global service on each node that has one to run or one that failed", () => {
    const tasks = [
      { NodeID: "runs", DesiredState: "running", Status: { State: "running" } },
      { NodeID: "gave-up", DesiredState: "shutdown", Status: { State: "failed" } },
      { NodeID: "drained", DesiredState: "shutdown", Status: { State: "shutdown" } },
    ].map((each, index) =>
      toTask("web", task({ ...each, ID: String(index), Slot: undefined, CreatedAt: "2026-05-01T10:00:00Z" })),
    );
    expect(wantedTasksOf(service({ Mode: { Global: {} } }), tasks)).toBe(2);
    expect(wantedTasksOf(service({ Mode: { Replicated: { Replicas: 0 } } }), tasks)).toBe(0);
  });

  it("waits for the target's own window, or the engine's default where none is set", () => {
    const windowOf = (UpdateConfig?: object) => {
      const each = service(UpdateConfig === undefined ? {} : { UpdateConfig });
      return toLook(toWorkload("swarm", each, undefined), each, []).windowMs;
    };
    expect([
      windowOf(),
      windowOf({}),
      windowOf({ Monitor: 0 }),
      windowOf({ Monitor: 3_000_000_000 }),
    ]).toEqual([5_000, 5_000, 5_000, 3_000]);
  });

  it.each<[state: string, message: string, said: object]>([
    ["updating", "update in progress", {}],
    ["paused", "update paused due to failure", { message: "update paused due to failure" }],
    ["rollback_started", "manually requested rollback", { message: "manually requested rollback" }],
    ["completed", "", {}],
  ])("tells of an update that is %s what the engine says beyond that", (State, Message, said) => {
    const each = { ...service({}), UpdateStatus: { State, Message } };
    const {
      update: _,
      workload: _workload,
      tasks: _tasks,
      wantedTasks: _wanted,
      windowMs: _window,
      ...rest
    } = toLook(toWorkload("swarm", each, undefined), each, []);
    expect(rest).toEqual(said);
  });

  it("names the platforms of nodes that take tasks as images do, each once", () => {
    const node = (Architecture: string, Availability = "active") => ({
      Spec: { Availability },
      Description: { Platform: { OS: "linux", Architecture } },
    });
    const nodes = [node("x86_64"), node("x86_64"), node("aarch64"), node("armv7l"), node("s390x", "drain")];
    expect(nodePlatforms(nodes)).toEqual([
      { os: "linux", architecture: "amd64" },
      { os: "linux", architecture: "arm64" },
      { os: "linux", architecture: "arm", variant: "v7" },
    ]);
  });
});

describe("the configuration of a Docker Swarm", () => {
  const tls = { ca: "${file:ca}", cert: "${file:cert}", key: "${file:key}" };
  it.each<{ name: string; config: object; valid: boolean }>([
    { name: "a socket", config: { host: "unix:///var/run/docker.sock" }, valid: true },
    { name: "TLS", config: { host: "tcp://swarm.acme.io:2376", tls }, valid: true },
    { name: "an IPv6 address", config: { host: "tcp://[::1]:2375" }, valid: true },
    { name: "no port", config: { host: "tcp://swarm.acme.io" }, valid: false },
    { name: "a relative socket", config: { host: "unix://docker.sock" }, valid: false },
    { name: "an https URL", config: { host: "https://swarm.acme.io:2376" }, valid: false },
    { name: "a path behind the port", config: { host: "tcp://swarm.acme.io:2376/v1.41" }, valid: false },
    { name: "TLS to a socket", config: { host: "unix:///var/run/docker.sock", tls }, valid: false },
    { name: "half of TLS", config: { host: "tcp://h:2376", tls: { ca: "x" } }, valid: false },
    { name: "an unknown key", config: { host: "tcp://h:2376", verify: false }, valid: false },
  ])("takes or refuses $name", ({ config, valid }) => {
    expect(SwarmConfig.safeParse({ name: "swarm", kind: "swarm", ...config }).success).toBe(valid);
  });
});

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

/** A small swarm behind HTTP with one running service, and a write that is about to be sent to it. */
async function standing() {
  const world = smallSwarmWorld();
  const server = await world.swarm.listen(0);
  closers.push(() => server.close());
  const config: SwarmConfig = { name: "swarm", kind: "swarm", host: `tcp://127.0.0.1:${server.port}` };
  const target = create(config, context);
  const name = "web";
  await world.create(name, await world.publish("int", "runs"), {
    spec: { Env: ["PASSWORD=hidden"] },
  });
  const image = await world.publish("int", "runs");
  const workload = await target.get(name);
  if (workload === undefined) throw new Error("the service is not there");
  return {
    world: { ...world, config },
    target,
    name,
    deploy: (by = target) => by.update(workload, { seq: 1, images: { [name]: image } }),
  };
}
