import { createServer, type IncomingHttpHeaders, type RequestListener } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import type { SandboxAuth } from "../../functions/local/sandbox/registry/auth.ts";
import {
  type SandboxRegistry,
  startSandboxRegistry,
} from "../../functions/local/sandbox/registry/registry.ts";
import type { Repository } from "../../shared/domain/reference.ts";
import { httpClient } from "../../shared/http.ts";
import type { OciHost } from "../../shared/registry/oci/host.ts";
import { type OciRegistry, ociRegistry } from "../../shared/registry/oci/oci-registry.ts";
import { manualClock } from "../doubles/manual-clock.ts";

const username = "landfall";
const password = "s3cret-p4ss";
const pair = { username: () => username, password: () => password };
const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function start(auth: SandboxAuth): Promise<SandboxRegistry> {
  const server = await startSandboxRegistry({ auth });
  closing.push(server.stop);
  return server;
}

function registryFor(entry: OciHost, clock = manualClock()): OciRegistry {
  const registry = ociRegistry({ registries: [entry], clock });
  closing.push(() => registry.close());
  return registry;
}

async function listen(handler: RequestListener): Promise<string> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(async () => server.closeAllConnections());
  closing.push(async () => server.close());
  const address = server.address();
  return typeof address === "object" && address !== null ? `127.0.0.1:${address.port}` : "";
}

function sent(server: SandboxRegistry): string[] {
  return server.requests.map(({ method, path, status }) => `${method} ${path.split("?")[0]} ${status}`);
}

const manifestV1 = "/v2/acme/web/manifests/v1";

describe("basic authentication", () => {
  it("is offered after the first challenge, and at once from then on", async () => {
    const server = await start({ kind: "basic", username, password });
    const digest = server.push("acme/web", "v1");
    const registry = registryFor({ host: server.host, plainHttp: true, ...pair });
    for (const _ of [1, 2]) {
      expect(await registry.head(`${server.host}/acme/web`, "v1")).toMatchObject({ digest });
    }
    expect(sent(server)).toEqual([
      `HEAD ${manifestV1} 401`,
      `HEAD ${manifestV1} 200`,
      `HEAD ${manifestV1} 200`,
    ]);
  });

  it("is not repeated with a password that was refused", async () => {
    const server = await start({ kind: "basic", username, password });
    const registry = registryFor({ host: server.host, plainHttp: true, ...pair, password: () => "wr0ng" });
    const asked = registry.head(`${server.host}/acme/web`, "v1");
    await expect(asked).rejects.toMatchObject({ code: "REGISTRY_DENIED" });
    await expect(asked).rejects.not.toThrow(/wr0ng|landfall:/);
    expect(sent(server)).toHaveLength(2);
    await expect(registry.head(`${server.host}/acme/web`, "v1")).rejects.toMatchObject({
      code: "REGISTRY_DENIED",
    });
    expect(sent(server)).toHaveLength(3);
  });

  it("is refused without credentials for exactly this host", async () => {
    const server = await start({ kind: "basic", username, password });
    const clock = manualClock();
    const registry = ociRegistry({
      registries: [
        { host: server.host, plainHttp: true },
        { host: `${server.host}0`, plainHttp: true, ...pair },
        { host: "127.0.0.1", plainHttp: true, ...pair },
      ],
      clock,
    });
    closing.push(() => registry.close());
    await expect(registry.head(`${server.host}/acme/web`, "v1")).rejects.toMatchObject({
      code: "REGISTRY_DENIED",
    });
    expect(sent(server)).toEqual([`HEAD ${manifestV1} 401`]);
  });

  it("sees a password that was changed", async () => {
    const server = await start({ kind: "basic", username, password });
    const digest = server.push("acme/web", "v1");
    let now = "0ld";
    const registry = registryFor({ host: server.host, plainHttp: true, ...pair, password: () => now });
    await expect(registry.head(`${server.host}/acme/web`, "v1")).rejects.toMatchObject({
      code: "REGISTRY_DENIED",
    });
    now = password;
    expect(await registry.head(`${server.host}/acme/web`, "v1")).toMatchObject({ digest });
  });
});

describe("bearer tokens", () => {
  const bearer: SandboxAuth = { kind: "bearer", username, password };

  it("are asked for once and used until four fifths of their time are over", async () => {
    const server = await start({ ...bearer, expiresInS: 300 });
    server.push("acme/web", "v1");
    const clock = manualClock();
    const registry = registryFor({ host: server.host, plainHttp: true, ...pair }, clock);
    const ask = () => registry.head(`${server.host}/acme/web`, "v1");
    await ask();
    await clock.advance(239_000);
    await ask();
    await clock.advance(1_000);
    await ask();
    expect(sent(server)).toEqual([
      `HEAD ${manifestV1} 401`,
      "GET /token 200",
      `HEAD ${manifestV1} 200`,
      `HEAD ${manifestV1} 200`,
      "GET /token 200",
      `HEAD ${manifestV1} 200`,
    ]);
  });

  it("that do not say how long they hold are used for 48 s", async () => {
    const server = await start(bearer);
    server.push("acme/web", "v1");
    const clock = manualClock();
    const registry = registryFor({ host: server.host, plainHttp: true, ...pair }, clock);
    await registry.head(`${server.host}/acme/web`, "v1");
    await clock.advance(47_999);
    await registry.head(`${server.host}/acme/web`, "v1");
    expect(sent(server).filter((line) => line.startsWith("GET /token"))).toHaveLength(1);
    await clock.advance(1);
    await registry.head(`${server.host}/acme/web`, "v1");
    expect(sent(server).filter((line) => line.startsWith("GET /token"))).toHaveLength(2);
  });

  it("are asked for once by all who need the same at the same time", async () => {
    const server = await start(bearer);
    server.push("acme/web", "v1");
    const registry = registryFor({ host: server.host, plainHttp: true, ...pair });
    await Promise.all([1, 2, 3, 4, 5].map(() => registry.head(`${server.host}/acme/web`, "v1")));
    expect(sent(server).filter((line) => line.startsWith("GET /token"))).toHaveLength(1);
  });

  it("are asked for beforehand for a second repository, with the usual scope", async () => {
    const server = await start(bearer);
    server.push("acme/web", "v1");
    server.push("acme/api", "v1");
    const registry = registryFor({ host: server.host, plainHttp: true, ...pair });
    await registry.head(`${server.host}/acme/web`, "v1");
    server.forgetRequests();
    await registry.head(`${server.host}/acme/api`, "v1");
    expect(server.requests).toMatchObject([
      { path: "/token?service=sandbox-registry&scope=repository%3Aacme%2Fapi%3Apull", status: 200 },
      { path: "/v2/acme/api/manifests/v1", status: 200 },
    ]);
  });

  it("that are refused are replaced once", async () => {
    const server = await start(bearer);
    const digest = server.push("acme/web", "v1");
    const registry = registryFor({ host: server.host, plainHttp: true, ...pair });
    await registry.head(`${server.host}/acme/web`, "v1");
    server.revokeTokens();
    server.forgetRequests();
    expect(await registry.head(`${server.host}/acme/web`, "v1")).toMatchObject({ digest });
    expect(sent(server)).toEqual([`HEAD ${manifestV1} 401`, "GET /token 200", `HEAD ${manifestV1} 200`]);
  });

  it("that allow less than was asked for end as denied after one more try", async () => {
    const server = await start({ ...bearer, anonymousPull: true });
    server.push("acme/web", "v1");
    const repository: Repository = `${server.host}/acme/web`;
    const registry = registryFor({ host: server.host, plainHttp: true });
    const manifest = await registry.get(repository, "v1");
    if (manifest === undefined) throw new Error("nothing to write");
    server.forgetRequests();
    await expect(registry.put(repository, "prod", manifest)).rejects.toMatchObject({
      code: "REGISTRY_DENIED",
    });
    const puts = server.requests.filter(({ method }) => method === "PUT");
    expect(puts.map(({ status }) => status)).toEqual([401, 401]);
  });

  it("are denied for a wrong password, without the password in the message", async () => {
    const server = await start(bearer);
    const registry = registryFor({ host: server.host, plainHttp: true, ...pair, password: () => "wr0ng" });
    const error = await registry.head(`${server.host}/acme/web`, "v1").catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ code: "REGISTRY_DENIED" });
    expect(String(error)).not.toContain("wr0ng");
    expect(sent(server)).toEqual([`HEAD ${manifestV1} 401`, "GET /token 401"]);
  });

  it("open the circuit when their server asks to be left alone", async () => {
    const server = await start(bearer);
    const registry = registryFor({ host: server.host, plainHttp: true, ...pair });
    server.faults.switchOn({
      when: ({ path }) => path.startsWith("/token"),
      does: { kind: "status", status: 429, headers: { "retry-after": "60" } },
    });
    for (const _ of [1, 2]) {
      await expect(registry.head(`${server.host}/acme/web`, "v1")).rejects.toMatchObject({
        code: "REGISTRY_UNAVAILABLE",
        retryAfterMs: 60_000,
      });
    }
    expect(sent(server)).toEqual([`HEAD ${manifestV1} 401`, "GET /token 429"]);
  });

  it.each<{ name: string; body: string; token: string | undefined }>([
    { name: "`token`", body: '{"token":"abc"}', token: "abc" },
    {
      name: "`access_token`",
      body: '{"access_token":"abc","issued_at":"2026-01-01T00:00:00Z"}',
      token: "abc",
    },
    { name: "no token", body: "{}", token: undefined },
    { name: "a token that is no header", body: '{"token":"a\\r\\nb"}', token: undefined },
    { name: "a web page", body: "<html>", token: undefined },
  ])("are read from an answer with $name", async ({ body, token }) => {
    const seen: (string | undefined)[] = [];
    const host = await listen((request, response) => {
      if (request.url?.startsWith("/token")) return response.end(body);
      seen.push(request.headers.authorization);
      if (request.headers.authorization !== undefined) return response.writeHead(404).end();
      return response
        .writeHead(401, {
          "www-authenticate": [`Bearer realm="http://${host}/token?a=b",service="x y"`, "Basic realm=z"],
        })
        .end();
    });
    const asked = registryFor({ host, plainHttp: true, ...pair }).head(`${host}/acme/web`, "v1");
    if (token === undefined) {
      await expect(asked).rejects.toMatchObject({ code: "REGISTRY_RESPONSE" });
    } else {
      expect(await asked).toBeUndefined();
      expect(seen).toEqual([undefined, `Bearer ${token}`]);
    }
  });
});

describe("where credentials go", () => {
  it("is never a token server without https, unless the registry itself is plain", async () => {
    const asked: string[] = [];
    const registry = ociRegistry({
      registries: [{ host: "reg.example", ...pair }],
      clock: manualClock(),
      connect: () => ({
        request: async ({ url }) => {
          asked.push(url);
          const challenge = 'Bearer realm="http://reg.example/token",service="x"';
          return { status: 401, headers: { "www-authenticate": challenge }, body: Buffer.alloc(0) };
        },
        close: async () => {},
      }),
    });
    await expect(registry.head("reg.example/acme/web", "v1")).rejects.toMatchObject({
      code: "REGISTRY_RESPONSE",
    });
    expect(asked).toEqual(["https://reg.example/v2/acme/web/manifests/v1"]);
  });

  it("is not another host that a redirect names, nor back from there, and its challenges are not answered", async () => {
    const seen: { at: string; headers: IncomingHttpHeaders }[] = [];
    const storage = await listen((request, response) => {
      seen.push({ at: "storage", headers: request.headers });
      response.writeHead(401, { "www-authenticate": `Bearer realm="http://${storage}/gimme"` }).end();
    });
    const host = await listen((request, response) => {
      seen.push({ at: "registry", headers: request.headers });
      if (request.headers.authorization === undefined) {
        return response.writeHead(401, { "www-authenticate": 'Basic realm="r"' }).end();
      }
      return response.writeHead(307, { location: `http://${storage}/elsewhere` }).end();
    });
    const registry = registryFor({ host, plainHttp: true, ...pair });
    for (const _ of [1, 2]) {
      await expect(registry.get(`${host}/acme/web`, "v1")).rejects.toMatchObject({ code: "REGISTRY_DENIED" });
    }
    const given = (headers: IncomingHttpHeaders) =>
      headers.authorization === undefined ? "without" : "with";
    expect(seen.map(({ at, headers }) => `${at} ${given(headers)}`)).toEqual([
      "registry without",
      "registry with",
      "storage without",
      "registry with",
      "storage without",
    ]);
  });

  it("is not followed from https to http", async () => {
    const registry = ociRegistry({
      registries: [],
      clock: manualClock(),
      connect: () => ({
        request: async () => ({
          status: 302,
          headers: { location: "http://169.254.169.254/" },
          body: Buffer.alloc(0),
        }),
        close: async () => {},
      }),
    });
    await expect(registry.get("reg.example/acme/web", "v1")).rejects.toMatchObject({
      code: "REGISTRY_RESPONSE",
    });
  });
});

describe("where a registry is reached", () => {
  it.each<{ name: string; entries: readonly OciHost[]; repository: Repository; url: string; ca?: string }>([
    {
      name: "Docker Hub, at its API's host",
      entries: [],
      repository: "docker.io/library/nginx",
      url: "https://registry-1.docker.io/v2/library/nginx/manifests/v1",
    },
    {
      name: "a host that is not configured, by https",
      entries: [{ host: "other.example", plainHttp: true }],
      repository: "reg.example:5000/acme/web",
      url: "https://reg.example:5000/v2/acme/web/manifests/v1",
    },
    {
      name: "a plain one, by http",
      entries: [{ host: "reg.example:5000", plainHttp: true }],
      repository: "reg.example:5000/acme/web",
      url: "http://reg.example:5000/v2/acme/web/manifests/v1",
    },
    {
      name: "one with a url of its own, there",
      entries: [{ host: "reg.example:5000", url: "https://inside.example/" }],
      repository: "reg.example:5000/acme/web",
      url: "https://inside.example/v2/acme/web/manifests/v1",
    },
    {
      name: "one with certificates of its own, with them",
      entries: [{ host: "Reg.example", ca: () => "PEM" }],
      repository: "reg.example/acme/web",
      url: "https://reg.example/v2/acme/web/manifests/v1",
      ca: "PEM",
    },
  ])("$name", async ({ entries, repository, url, ca }) => {
    const asked: object[] = [];
    const registry = ociRegistry({
      registries: entries,
      clock: manualClock(),
      connect: (options) => ({
        request: async (request) => {
          asked.push({ url: request.url, accept: request.headers?.accept, ...options });
          return { status: 404, headers: {}, body: Buffer.alloc(0) };
        },
        close: async () => {},
      }),
    });
    expect(await registry.head(repository, "v1")).toBeUndefined();
    const accept =
      "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
    expect(asked).toEqual([{ url, accept, ...(ca === undefined ? {} : { ca }) }]);
  });

  it("changes with the certificates, and closes every connection in the end", async () => {
    let ca = "one";
    const open = new Set<string | undefined>();
    const registry = ociRegistry({
      registries: [{ host: "reg.example", ca: () => ca }],
      clock: manualClock(),
      connect: (options) => {
        open.add(options.ca);
        return {
          ...httpClient(),
          request: async () => ({ status: 404, headers: {}, body: Buffer.alloc(0) }),
          close: async () => {
            open.delete(options.ca);
          },
        };
      },
    });
    await registry.head("reg.example/acme/web", "v1");
    ca = "two";
    await registry.head("reg.example/acme/web", "v1");
    expect([...open]).toEqual(["one", "two"]);
    await registry.close();
    expect(open.size).toBe(0);
  });
});
