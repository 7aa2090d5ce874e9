import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { mediaTypes } from "../../functions/local/sandbox/registry/image.ts";
import type { SandboxRegistry } from "../../functions/local/sandbox/registry/registry.ts";
import { parseImage } from "../../functions/local/sandbox/swarmpit/inbound.ts";
import { type RegistryAccount, registryOf } from "../../functions/local/sandbox/swarmpit/registries.ts";
import type { SandboxSwarmpit } from "../../functions/local/sandbox/swarmpit/swarmpit.ts";
import type { Digest } from "../../shared/domain/reference.ts";
import { create } from "../../shared/targets/swarmpit/swarmpit.ts";
import type { Target } from "../../shared/targets/target.ts";
import type { ManualClock } from "../doubles/manual-clock.ts";
import { type ServiceOptions, type SwarmpitWorld, swarmpitWorld } from "../targets/swarmpit-world.ts";

const users = [
  { username: "admin", password: "admin", role: "admin" },
  { username: "ci", password: "with:colon", role: "user" },
  { username: "reader", password: "reader", role: "viewer" },
] as const;

let world: SwarmpitWorld;
let clock: ManualClock;
let registry: SandboxRegistry;
let swarmpit: SandboxSwarmpit;

beforeEach(async () => {
  world = await swarmpitWorld(users);
  ({ clock, registry, swarmpit } = world);
});
afterEach(() => world.close());

describe("Swarmpit's names for images", () => {
  const pin = `sha256:${"a".repeat(64)}`;
  it.each([
    { image: "nginx", name: "nginx", tag: "", where: "hub" },
    { image: `nginx:1.25@${pin}`, name: "nginx", tag: "1.25", where: "hub" },
    { image: `acme/web:INT@${pin}`, name: "acme/web", tag: "INT", where: "hub" },
    { image: "acme/team/web:1", name: "acme/team/web", tag: "1", where: "hub" },
    {
      image: `reg.example:5000/acme/web:v1@${pin}`,
      name: "reg.example:5000/acme/web",
      tag: "v1",
      where: "reg.example:5000",
    },
    { image: "reg.example:5000/acme/web", name: "reg.example", tag: "5000/acme/web", where: "hub" },
    { image: "docker.io/acme/web:1", name: "docker.io/acme/web", tag: "1", where: "docker.io" },
    { image: "acme/site.web:1", name: "acme/site.web", tag: "1", where: "acme" },
    { image: "localhost/web:1", name: "localhost/web", tag: "1", where: "localhost" },
  ])("split $image at its last colon", ({ image, name, tag, where }) => {
    expect(parseImage(image)).toEqual({
      name,
      tag,
      image: image.split("@")[0],
      imageDigest: image.split("@")[1] ?? null,
    });
    const found = registryOf(name);
    expect(found.kind === "hub" ? "hub" : found.host).toBe(where);
  });
});

describe("Swarmpit's guards", () => {
  it.each([
    { name: "no header", form: () => undefined, text: "Authentication failed" },
    { name: "a raw token", form: (token: string) => token.slice(7), text: "Authentication failed" },
    {
      name: "another case",
      form: (token: string) => token.replace("Bearer", "bearer"),
      text: "Authentication failed",
    },
    { name: "two Bearers", form: (token: string) => `Bearer ${token}`, text: "Token invalid" },
    { name: "a token of somebody else's", form: (token: string) => `${token}x`, text: "Token invalid" },
  ])("refuse $name under their own mark", async ({ form, text }) => {
    const answer = await call("GET", "/api/services", form(swarmpit.token()));
    expect(answer).toMatchObject({ status: 401, mark: "swarmpit", body: { error: text } });
  });

  it("end a login after a day, and at once after a logout", async () => {
    const token = await login("admin", "admin");
    expect(token).toMatch(/^Bearer eyJ/);
    expect(await call("GET", "/api/me", token)).toMatchObject({ status: 200, body: { username: "admin" } });
    await call("POST", "/logout", token);
    expect(await call("GET", "/api/me", token)).toMatchObject({ body: { error: "Token revoked" } });
    const other = await login("admin", "admin");
    await clock.advance(24 * 60 * 60 * 1000);
    expect(await call("GET", "/api/me", other)).toMatchObject({ body: { error: "Token expired" } });
  });

  it("end an API token when the next one is made, when it is dropped and when its user goes", async () => {
    const first = swarmpit.token();
    const made = await call("POST", "/api-token", first);
    const second = (made.body as { token: string }).token;
    expect(await call("GET", "/api/me", first)).toMatchObject({ body: { error: "Token discarded" } });
    expect(await call("GET", "/api/me", second)).toMatchObject({ status: 200 });
    await call("DELETE", "/api-token", second);
    expect(await call("GET", "/api/me", second)).toMatchObject({ body: { error: "Token discarded" } });
    const third = swarmpit.token();
    swarmpit.removeUser("admin");
    expect(await call("GET", "/api/me", third)).toMatchObject({ body: { error: "Token rejected" } });
  });

  it("let nobody in whose password has a colon", async () => {
    await expect(login("ci", "with:colon")).rejects.toThrow("401");
  });

  it("let viewers read but not write, except up to 1.9", async () => {
    const token = swarmpit.token("reader");
    expect(await call("GET", "/api/services", token)).toMatchObject({ status: 200 });
    expect(await call("POST", "/api/services/web/redeploy", token)).toMatchObject({
      status: 403,
      mark: "swarmpit",
      body: { error: "Unauthorized user access" },
    });
    const old = await world.start({ quirks: { viewersMayWrite: true } });
    const answer = await call("POST", "/api/services/web/redeploy", old.token("reader"), old);
    expect(answer).toMatchObject({ status: 404, body: { error: "service web not found" } });
  });

  it("look the role up at each call", async () => {
    const token = swarmpit.token("ci");
    expect(await call("POST", "/api/services/web/stop", token)).toMatchObject({ status: 404, mark: null });
    swarmpit.setRole("ci", "viewer");
    expect(await call("POST", "/api/services/web/stop", token)).toMatchObject({ status: 403 });
  });

  it("answer a wrong path or method without a body", async () => {
    const token = swarmpit.token();
    expect(await call("GET", "/services", token)).toMatchObject({ status: 404, body: undefined });
    expect(await call("GET", "/api/services/web/redeploy", token)).toMatchObject({
      status: 405,
      body: undefined,
    });
  });

  it("tell everybody the version, Docker's as a number", async () => {
    expect(await call("GET", "/version")).toMatchObject({
      status: 200,
      body: { name: "swarmpit", version: "1.11-SNAPSHOT", docker: { api: 1.41, engine: "20.10.24" } },
    });
  });

  it.each([
    { quirks: { ignoresTagQuery: true, viewersMayWrite: true }, release: "1.8" },
    { quirks: { viewersMayWrite: true, danglingAt: true }, release: "1.9" },
    { quirks: { danglingAt: true }, release: "1.10" },
  ])("call themselves $release with the quirks of that release", async ({ quirks, release }) => {
    const old = await world.start({ quirks });
    expect(await call("GET", "/version", undefined, old)).toMatchObject({ body: { version: release } });
  });
});

describe("Swarmpit's service", () => {
  it("has explicit nulls, hides its own labels and shows the environment", async () => {
    registry.push("acme/web", "int");
    await serve("web", "int", {
      labels: { team: "forms", "com.docker.stack.namespace": "shop", "swarmpit.service.immutable": "true" },
      env: ["A=b=c"],
    });
    expect(await read("/api/services/web")).toMatchObject({
      serviceName: "web",
      mode: "replicated",
      stack: "shop",
      agent: null,
      immutable: true,
      replicas: 1,
      labels: [{ name: "team", value: "forms" }],
      variables: [{ name: "A", value: "b=c" }],
      status: { tasks: { running: 1, total: 1 }, update: null, message: null },
      state: "running",
      deployment: { autoredeploy: false, rollbackAllowed: false, forceUpdate: 0, maxReplicas: null },
    });
    expect(await read("/api/stacks/shop/services")).toHaveLength(1);
    expect(await read("/api/stacks/other/services")).toEqual([]);
    expect(await read("/api/tasks")).toMatchObject([
      { taskName: "web.1", serviceName: "web", status: { error: null }, desiredState: "running" },
    ]);
  });

  it("is not running when it wants no task, and cannot be stopped when it is global", async () => {
    registry.push("acme/web", "int");
    await serve("web", "int");
    await serve("node", "int", { mode: { Global: {} } });
    const token = swarmpit.token();
    expect(await call("POST", "/api/services/web/stop", token)).toMatchObject({ status: 200 });
    expect(await call("POST", "/api/services/node/stop", token)).toMatchObject({ status: 200 });
    await clock.advance(30_000);
    expect(await read("/api/services/web")).toMatchObject({ replicas: 0, state: "not running" });
    expect(await read("/api/services/node")).toMatchObject({
      mode: "global",
      replicas: null,
      status: { tasks: { running: 1, total: 1 } },
    });
  });
});

describe("Swarmpit's redeploy", () => {
  it("pins what the tag points at, and restarts the tasks even if that is what they run", async () => {
    const first = registry.push("acme/web", "int");
    await serve("web", "int");
    const second = registry.push("acme/web", "int");
    expect(await redeploy("web")).toMatchObject({ status: 202, body: undefined });
    expect(await imageOf("web")).toBe(`${registry.host}/acme/web:int@${second}`);
    expect(second).not.toBe(first);
    await redeploy("web");
    expect(await read("/api/services/web")).toMatchObject({
      repository: { imageDigest: second },
      deployment: { forceUpdate: 2, rollbackAllowed: true },
    });
  });

  it("follows a tag that is asked for, since 1.9", async () => {
    const int = registry.push("acme/web", "int");
    const prod = registry.push("acme/web", "prod");
    await serve("web", "int");
    await redeploy("web?tag=prod");
    expect(await imageOf("web")).toBe(`${registry.host}/acme/web:prod@${prod}`);
    const old = await world.start({
      quirks: { ignoresTagQuery: true },
      registryAccounts: [{ url: registry.url, public: true }],
    });
    await serve("other", "int");
    await call("POST", "/api/services/other/redeploy?tag=prod", old.token(), old);
    expect(await imageOf("other")).toBe(`${registry.host}/acme/web:int@${int}`);
  });

  it.each([
    { name: "a tag that is not there", tag: ":int", query: "?tag=nope" },
    { name: "a tag, and has a port and no tag of its own", tag: "", query: "?tag=int" },
  ])("leaves a service as it is that is asked for $name", async ({ tag, query }) => {
    registry.push("acme/web", "int");
    await serve("web", "int", { image: `${registry.host}/acme/web${tag}` });
    const before = await imageOf("web");
    const linked = await world.start({
      hub: registry.url,
      registryAccounts: [{ url: registry.url, public: true }],
    });
    const path = `/api/services/web/redeploy${query}`;
    expect(await call("POST", path, linked.token(), linked)).toMatchObject({
      status: 404,
      body: { error: null },
    });
    expect(await imageOf("web")).toBe(before);
  });

  it("takes a blank tag for latest, whatever the service has", async () => {
    const digest = registry.push("acme/web", "latest");
    registry.push("acme/web", "int");
    await serve("web", "int");
    await redeploy("web?tag=");
    expect(await imageOf("web")).toBe(`${registry.host}/acme/web:latest@${digest}`);
  });

  it("takes no tag for latest, and a port for a tag", async () => {
    const digest = registry.push("acme/web", "latest");
    await serve("hub", "", { image: "acme/web" });
    const linked = await world.start({ hub: registry.url });
    await call("POST", "/api/services/hub/redeploy", linked.token(), linked);
    expect(await imageOf("hub")).toBe(`acme/web:latest@${digest}`);
    await serve("port", "", { image: `${registry.host}/acme/web` });
    expect(await call("POST", "/api/services/port/redeploy", linked.token(), linked)).toMatchObject({
      status: 404,
      body: { error: null },
    });
  });

  it("reads a list of several platforms as the list", async () => {
    const digest = registry.push("acme/web", "int", {
      platforms: [
        { os: "linux", architecture: "amd64" },
        { os: "linux", architecture: "arm64" },
      ],
    });
    await serve("web", "int");
    await redeploy("web");
    expect(await imageOf("web")).toBe(`${registry.host}/acme/web:int@${digest}`);
  });

  it.each([mediaTypes.ociManifest, mediaTypes.ociIndex])(
    "finds no %s, and has no words for it",
    async (mediaType) => {
      registry.push("acme/web", "int", { mediaType });
      await serve("web", "int");
      const before = await imageOf("web");
      expect(await redeploy("web")).toMatchObject({ status: 404, mark: null, body: { error: null } });
      expect(await imageOf("web")).toBe(before);
    },
  );

  it("loses the pin when the registry answers with no Docker type, and 1.9 leaves half of it", async () => {
    registry.push("acme/web", "int");
    await serve("web", "int");
    registry.faults.switchOn({
      when: ({ method }) => method === "HEAD",
      does: { kind: "status", status: 200, headers: { "content-type": "application/json" } },
    });
    const old = await world.start({
      quirks: { danglingAt: true },
      registryAccounts: [{ url: registry.url, public: true }],
    });
    expect(await call("POST", "/api/services/web/redeploy", old.token(), old)).toMatchObject({
      status: 400,
      body: { error: expect.stringContaining("is not a valid repository/tag") },
    });
    expect(await redeploy("web")).toMatchObject({ status: 202 });
    expect(await imageOf("web")).toBe(`${registry.host}/acme/web:int`);
  });

  it.each<{ name: string; accounts: (url: string) => readonly RegistryAccount[]; status: number }>([
    { name: "no account", accounts: () => [], status: 401 },
    { name: "somebody else's account", accounts: (url) => [{ url, owner: "admin" }], status: 401 },
    { name: "an account of one's own", accounts: (url) => [{ url, owner: "ci" }], status: 202 },
    { name: "a public account", accounts: (url) => [{ url, owner: "admin", public: true }], status: 202 },
  ])("asks a registry with $name: $status", async ({ accounts, status }) => {
    registry.push("acme/web", "int");
    await serve("web", "int");
    const other = await world.start({ registryAccounts: accounts(registry.url) });
    const answer = await call("POST", "/api/services/web/redeploy", other.token("ci"), other);
    expect(answer.status).toBe(status);
    if (status === 401) {
      expect(answer).toMatchObject({
        mark: null,
        body: { error: `No matching registry ( ${registry.host} ) linked with Swarmpit` },
      });
    }
  });

  it("loses a race in Docker's words, and says when the service is gone", async () => {
    registry.push("acme/web", "int");
    await serve("web", "int");
    swarmpit.fail("redeploy", { kind: "out-of-sequence" });
    expect(await redeploy("web")).toMatchObject({
      status: 500,
      body: { error: "rpc error: code = Unknown desc = update out of sequence" },
    });
    expect(await redeploy("nope")).toMatchObject({
      status: 404,
      mark: null,
      body: { error: "service nope not found" },
    });
  });

  it("is undone by the previous spec, and undone again by the next one", async () => {
    const first = registry.push("acme/web", "int");
    await serve("web", "int", { image: `${registry.host}/acme/web:int@${first}` });
    const token = swarmpit.token();
    const back = "/api/services/web/rollback";
    expect(await call("POST", back, token)).toMatchObject({
      status: 400,
      body: { error: "got EOF while reading request body" },
    });
    const second = registry.push("acme/web", "int");
    await call("POST", "/api/services/web/redeploy", token);
    await clock.advance(30_000);
    expect(await call("POST", back, token)).toMatchObject({ status: 202, body: undefined });
    expect(await imageOf("web")).toMatch(first);
    await clock.advance(30_000);
    expect(await read("/api/services/web")).toMatchObject({ status: { update: "completed" } });
    await call("POST", back, swarmpit.token());
    expect(await imageOf("web")).toMatch(second);
  });
});

describe("a target behind the sandbox's Swarmpit", () => {
  let target: Target;
  beforeEach(() => {
    const token = swarmpit.token();
    target = create(
      { name: "prod", kind: "swarmpit", url: swarmpit.url, token: "token" },
      { secret: () => () => token, pullCredentials: () => undefined },
    );
  });
  afterEach(() => target.close());

  it("shows a redeploy until its tasks run", async () => {
    registry.push("acme/web", "int");
    await serve("web", "int");
    const digest = registry.push("acme/web", "int");
    expect(await update(digest)).toEqual({ kind: "accepted" });
    await clock.advance(30_000);
    const look = await target.look("web");
    expect(look).toMatchObject({ update: "completed", wantedTasks: 1 });
    expect(look?.workload.containers[0]?.reference).toMatchObject({ tag: "int", digest });
    expect(
      look?.tasks
        .filter(({ desired }) => desired)
        .map(({ slot, state, images }) => `${slot} ${state} ${images.web}`),
    ).toEqual([`1 running ${registry.host}/acme/web:int@${digest}`]);
  });

  it("leaves a redeploy open whose answer was lost, though it took effect", async () => {
    registry.push("acme/web", "int");
    await serve("web", "int");
    const digest = registry.push("acme/web", "int");
    swarmpit.fail("redeploy", { kind: "lose-answer" });
    expect(await update(digest)).toMatchObject({ kind: "unknown" });
    expect(await imageOf("web")).toMatch(digest);
  });

  it("gets through after a lost race", async () => {
    registry.push("acme/web", "int");
    await serve("web", "int");
    const digest = registry.push("acme/web", "int");
    swarmpit.fail("redeploy", { kind: "out-of-sequence" });
    expect(await update(digest)).toEqual({ kind: "conflict" });
    expect(await update(digest)).toEqual({ kind: "accepted" });
  });

  it("shows what Swarmpit resolved, not what was asked for, when the registry lags behind", async () => {
    const first = registry.push("acme/web", "int");
    await serve("web", "int", { image: `${registry.host}/acme/web:int@${first}` });
    const second = registry.push("acme/web", "int");
    swarmpit.fail("redeploy", { kind: "resolve", digest: first });
    expect(await update(second)).toEqual({ kind: "accepted" });
    expect((await target.get("web"))?.containers[0]?.reference?.digest).toBe(first);
  });

  async function update(digest: Digest) {
    const workload = await target.get("web");
    if (workload === undefined) throw new Error("the service is not there");
    const images = { web: { repository: `${registry.host}/acme/web`, tag: "int", digest } } as const;
    return target.update(workload, { seq: 1, images });
  }
});

/** Creates a service and lets it come up. */
async function serve(
  name: string,
  tag: string,
  { image = `${registry.host}/acme/web:${tag}`, ...options }: ServiceOptions & { image?: string } = {},
): Promise<void> {
  await world.create(name, image, options);
  await clock.advance(30_000);
}

interface Answered {
  readonly status: number;
  readonly mark: string | null;
  readonly body: unknown;
}

async function call(method: string, path: string, authorization?: string, at = swarmpit): Promise<Answered> {
  const answer = await fetch(`${new URL(at.url).origin}${path}`, {
    method,
    headers: authorization === undefined ? {} : { authorization },
  });
  const text = await answer.text();
  return {
    status: answer.status,
    mark: answer.headers.get("x-backend-server"),
    body: text === "" ? undefined : JSON.parse(text),
  };
}

async function login(username: string, password: string): Promise<string> {
  const pair = Buffer.from(`${username}:${password}`).toString("base64");
  const { status, body } = await call("POST", "/login", `Basic ${pair}`);
  if (status !== 200) throw new Error(`login: ${status}`);
  return (body as { token: string }).token;
}

async function read(path: string): Promise<unknown> {
  const { status, body } = await call("GET", path, swarmpit.token());
  expect(status).toBe(200);
  return body;
}

function redeploy(service: string): Promise<Answered> {
  const [name, query] = service.split("?");
  const suffix = query === undefined ? "" : `?${query}`;
  return call("POST", `/api/services/${name}/redeploy${suffix}`, swarmpit.token());
}

/** The image of the spec, from the engine itself. */
async function imageOf(name: string): Promise<string> {
  const { body } = await world.swarm.handle("GET", `/services/${name}`);
  return JSON.parse(body).Spec.TaskTemplate.ContainerSpec.Image;
}
