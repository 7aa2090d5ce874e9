import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { mediaTypes } from "../../functions/local/sandbox/registry/image.ts";
import type { SandboxSwarmpit } from "../../functions/local/sandbox/swarmpit/swarmpit.ts";
import type { Digest, Reference } from "../../shared/domain/reference.ts";
import type { Workload } from "../../shared/domain/workload.ts";
import { type HttpRequest, httpClient } from "../../shared/http.ts";
import { create } from "../../shared/targets/swarmpit/swarmpit.ts";
import type { Target } from "../../shared/targets/target.ts";
import { type SwarmpitWorld, swarmpitWorld } from "./swarmpit-world.ts";

let world: SwarmpitWorld;
let first: Digest;
const targets: Target[] = [];

beforeEach(async () => {
  world = await swarmpitWorld();
  first = world.registry.push("acme/web", "v1.2.0");
  await world.create("web", `${world.registry.host}/acme/web:v1.2.0@${first}`);
});
afterEach(async () => {
  for (const target of targets.splice(0)) await target.close();
  await world.close();
});

/** A target of that Swarmpit, and the deadline of each call that it makes. */
function reached(swarmpit: SandboxSwarmpit = world.swarmpit) {
  const calls: Pick<HttpRequest, "method" | "url" | "deadlineMs">[] = [];
  const token = swarmpit.token();
  const target = create(
    { name: "prod", kind: "swarmpit", url: swarmpit.url, token: "token" },
    {
      secret: () => () => token,
      pullCredentials: () => undefined,
      connect: (options) => {
        const http = httpClient(options);
        const request: typeof http.request = (asked) => {
          calls.push(asked);
          return http.request(asked);
        };
        return { ...http, request };
      },
    },
  );
  targets.push(target);
  return { target, calls };
}

async function read(target: Target): Promise<Workload> {
  const found = await target.get("web");
  if (found === undefined) throw new Error("the service is not there");
  return found;
}

const to = (image: Partial<Reference>, name = "web") => ({
  seq: 1,
  images: { [name]: { repository: `${world.registry.host}/acme/web` as const, tag: "v1.3.0", ...image } },
});
const posts = (swarmpit = world.swarmpit) =>
  swarmpit.requests.filter(({ method }) => method === "POST").map(({ path }) => path);
const imageOf = async () => (await read(reached().target)).containers[0]?.image;

describe("a redeploy to another tag", () => {
  it("names the tag, and pins what Swarmpit resolves it to", async () => {
    const second = world.registry.push("acme/web", "v1.3.0");
    const { target } = reached();
    expect(await target.update(await read(target), to({ digest: second }))).toEqual({ kind: "accepted" });
    const [path, ...more] = posts();
    expect(more).toEqual([]);
    expect(path).toMatch(/^\/api\/services\/\w+\/redeploy\?tag=v1\.3\.0$/);
    expect(await imageOf()).toBe(`${world.registry.host}/acme/web:v1.3.0@${second}`);
  });

  it("reads the service right before, and all of it is over within 10 s", async () => {
    world.registry.push("acme/web", "v1.3.0");
    const { target, calls } = reached();
    const workload = await read(target);
    calls.length = 0;
    await target.update(workload, to({}));
    expect(
      calls.map(({ method, url }) => `${method} ${new URL(url).pathname.replace(/\w{25}/, "ID")}`),
    ).toEqual(["GET /api/services/web", "GET /version", "POST /api/services/ID/redeploy"]);
    expect(calls.map(({ deadlineMs }) => deadlineMs)).toEqual([4_000, 4_000, expect.any(Number)]);
    expect(calls.at(-1)?.deadlineMs).toBeLessThanOrEqual(10_000);
  });

  it.each(["v1.2.0", undefined])("is none for what the service has (%s)", async (tag) => {
    if (tag === undefined) await world.create("plain", "acme/web");
    const { target } = reached();
    const name = tag === undefined ? "plain" : "web";
    const workload = await target.get(name);
    if (workload?.containers[0]?.reference === undefined) throw new Error("not there");
    await target.update(workload, { seq: 1, images: { [name]: workload.containers[0].reference } });
    expect(posts()).toEqual([expect.stringMatching(/redeploy$/)]);
  });

  it("gives a service its first tag", async () => {
    const second = world.registry.push("acme/web", "v1.3.0");
    await world.create("plain", "acme/web");
    const linked = await world.start({ hub: world.registry.url });
    const { target } = reached(linked);
    const workload = await target.get("plain");
    if (workload === undefined) throw new Error("not there");
    const image = { repository: "docker.io/acme/web", tag: "v1.3.0" } as const;
    expect(await target.update(workload, { seq: 1, images: { plain: image } })).toEqual({ kind: "accepted" });
    expect((await target.get("plain"))?.containers[0]?.image).toBe(`acme/web:v1.3.0@${second}`);
  });

  it("is not asked for where the service was changed or removed since it was read", async () => {
    world.registry.push("acme/web", "v1.3.0");
    const { target } = reached();
    const workload = await read(target);
    const { Version, Spec } = JSON.parse((await world.swarm.handle("GET", "/services/web")).body);
    const paused = JSON.stringify({ ...Spec, Labels: { "landfall.pause": "true" } });
    await world.swarm.handle("POST", `/services/web/update?version=${Version.Index}`, paused);
    expect(await target.update(workload, to({}))).toEqual({ kind: "conflict" });
    await world.swarm.handle("DELETE", "/services/web");
    expect(await target.update(workload, to({}))).toEqual({ kind: "gone" });
    expect(posts()).toEqual([]);
  });

  it("is not asked for where the service cannot be read again", async () => {
    const { target } = reached();
    const workload = await read(target);
    world.swarmpit.fail("read", { kind: "answer", status: 500, body: `{"error":"Read timed out"}` });
    await expect(target.update(workload, to({}))).rejects.toMatchObject({ code: "TARGET_UNAVAILABLE" });
    expect(posts()).toEqual([]);
  });

  it.each([
    {
      name: "another repository",
      change: () => to({ repository: "docker.io/acme/api" }),
      words: /repository that the service has \(127.*acme\/web\), not docker\.io\/acme\/api/,
    },
    {
      name: "another repository with the tag that it has",
      change: () => to({ repository: "docker.io/acme/api", tag: "v1.2.0" }),
      words: /not docker\.io\/acme\/api/,
    },
    {
      name: "a digest alone",
      change: () => {
        const { images } = to({ digest: first });
        const { tag: _, ...web } = images.web ?? { repository: "docker.io/acme/web" };
        return { seq: 1, images: { web } };
      },
      words: /never a digest without one/,
    },
    { name: "another container", change: () => to({}, "proxy"), words: /one container, named web/ },
  ])("is refused for $name, before anything is asked", async ({ change, words }) => {
    const { target, calls } = reached();
    const workload = await read(target);
    calls.length = 0;
    expect(await target.update(workload, change())).toEqual({
      kind: "refused",
      message: expect.stringMatching(words),
    });
    expect(calls).toEqual([]);
  });

  it("is refused where Swarmpit misreads a port as a tag: it would ask for another image", async () => {
    world.registry.push("acme/web", "v1.3.0");
    await world.create("port", `${world.registry.host}/acme/web`);
    const { target } = reached();
    const workload = await target.get("port");
    if (workload === undefined) throw new Error("not there");
    expect(await target.update(workload, to({}, "port"))).toMatchObject({
      kind: "refused",
      message: expect.stringContaining("name the tag in the service's image"),
    });
    expect(posts()).toEqual([]);
  });

  it.each([
    { name: "is not in the registry", push: () => undefined },
    {
      name: "is OCI content",
      push: () => void world.registry.push("acme/web", "v1.3.0", { mediaType: mediaTypes.ociManifest }),
    },
  ])("is refused for a tag that $name, and the service stays as it is", async ({ push }) => {
    push();
    const { target } = reached();
    expect(await target.update(await read(target), to({}))).toMatchObject({
      kind: "refused",
      message: expect.stringMatching(/no Docker-type manifest for the tag.*`kind: swarm`/),
    });
    expect(await imageOf()).toBe(`${world.registry.host}/acme/web:v1.2.0@${first}`);
  });

  it("is refused by releases before 1.9, which would only restart the tasks", async () => {
    world.registry.push("acme/web", "v1.3.0");
    const registryAccounts = [{ url: world.registry.url, public: true }];
    const old = await world.start({ quirks: { ignoresTagQuery: true }, registryAccounts });
    const { target } = reached(old);
    const workload = await read(target);
    expect(await target.update(workload, to({}))).toEqual({
      kind: "refused",
      message: expect.stringMatching(/^Swarmpit 1\.8 .*not v1\.3\.0: update it to 1\.9 .*`kind: swarm`/),
    });
    expect(posts(old)).toEqual([]);
    expect(await target.update(workload, to({ tag: "v1.2.0" }))).toEqual({ kind: "accepted" });
  });

  it.each([
    { release: "1.9", kind: "accepted" },
    { release: "1.10", kind: "accepted" },
    { release: "1.11-SNAPSHOT", kind: "accepted" },
    { release: "2.0", kind: "accepted" },
    { release: "latest", kind: "accepted" },
    { release: undefined, kind: "accepted" },
    { release: "1.8", kind: "refused" },
    { release: "v1.7.2", kind: "refused" },
    { release: "0.9", kind: "refused" },
  ])("is $kind by a Swarmpit that calls itself $release", async ({ release, kind }) => {
    world.registry.push("acme/web", "v1.3.0");
    const token = world.swarmpit.token();
    const target = create(
      { name: "prod", kind: "swarmpit", url: world.swarmpit.url, token: "token" },
      {
        secret: () => () => token,
        pullCredentials: () => undefined,
        connect: (options) => {
          const http = httpClient(options);
          const body = Buffer.from(release === undefined ? "<html>" : JSON.stringify({ version: release }));
          const version = async () => ({ status: 200, headers: {}, body });
          return {
            ...http,
            request: (request) => (request.url.endsWith("version") ? version() : http.request(request)),
          };
        },
      },
    );
    targets.push(target);
    expect((await target.update(await read(target), to({}))).kind).toBe(kind);
  });
});
