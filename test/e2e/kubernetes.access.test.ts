import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, request as httpsRequest } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { secretOf } from "../../shared/config/template.ts";
import { type HttpAnswer, type HttpClient, type HttpOptions, httpClient } from "../../shared/http.ts";
import { kubernetesClient } from "../../shared/targets/kubernetes/client.ts";
import type { KubernetesConfig } from "../../shared/targets/kubernetes/config.ts";
import { accessTo } from "../../shared/targets/kubernetes/connect.ts";
import { rightsAdvice } from "../../shared/targets/kubernetes/rights.ts";
import { manualClock } from "../doubles/manual-clock.ts";
import {
  account,
  applyOwn,
  cleanUp,
  cronJobsVersion,
  setUp,
  shop,
  tokenOfAccount,
  unbind,
  web,
} from "./kubernetes-rights.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const run = promisify(execFile);
const opened: HttpClient[] = [];
let folder = "";
let cronJobs = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "landfall-kubernetes-"));
  await setUp();
  cronJobs = await cronJobsVersion();
}, 150_000);
afterEach(async () => {
  await Promise.all(opened.splice(0).map((http) => http.close()));
});
afterAll(async () => {
  await cleanUp();
  await rm(folder, { recursive: true });
}, 150_000);

const file = (name: string) => join(folder, name);

/** A cluster by one way that `targets` can describe. */
function reach(way: Omit<KubernetesConfig, "name" | "kind" | "namespaces">, clock = manualClock()) {
  const asked: string[] = [];
  const connect = (options: HttpOptions): HttpClient => {
    const http = httpClient(options);
    opened.push(http);
    return {
      close: () => http.close(),
      request: (request) => {
        asked.push(request.url);
        return http.request(request);
      },
    };
  };
  const sources = { file: (path: string) => readFileSync(path, "utf8"), variable: () => undefined };
  const access = accessTo(
    { name: "edge", kind: "kubernetes", namespaces: [web], ...way },
    { secret: (template) => secretOf(template, "token", sources), connect },
    {
      clock,
      readFile: (path) => readFile(path, "utf8"),
      googleTokens: () => Promise.reject(new Error("not Google")),
    },
  );
  const client = kubernetesClient({ target: "edge", access, connect });
  return {
    asked,
    clock,
    /** The names of a namespace's Deployments, as the adapter's own client reads them. */
    deployments: async (namespace: string) => {
      const path = `/apis/apps/v1/namespaces/${namespace}/deployments`;
      const nameOf = (item: unknown) =>
        (item as { readonly metadata: { readonly name: string } }).metadata.name;
      const found = await client.list(path, {}, nameOf);
      return found.kind === "found" ? found.value : [];
    },
    /** One call as it is, once. */
    call: async (method: Call["method"], path: string, body?: object): Promise<HttpAnswer> => {
      const { server, headers, ca, cert, key, servername } = await access.connect();
      const tls = Object.entries({ ca, cert, key, servername }).filter(([, value]) => value !== undefined);
      return connect(Object.fromEntries(tls)).request({
        method,
        url: `${server}${path}`,
        headers: {
          ...headers,
          ...(method === "PATCH" ? { "content-type": "application/strategic-merge-patch+json" } : {}),
          ...(method === "POST" || method === "PUT" ? { "content-type": "application/json" } : {}),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        deadlineMs: 10_000,
        maxBytes: 16 << 20,
      });
    },
  };
}

type Call = Parameters<HttpClient["request"]>[0];

/** The account of the manifests, with a token of its own. */
async function asAccount() {
  await writeFile(file("account-token"), await tokenOfAccount());
  return reach({
    server: bed.kubeServer,
    ca: `\${file:${bed.kubeCaFile}}`,
    token: `\${file:${file("account-token")}}`,
  });
}

const patch = (image: string) => ({
  spec: { template: { spec: { containers: [{ name: "web", image }] } } },
});
const jsonOf = (answer: HttpAnswer) => JSON.parse(answer.body.toString("utf8"));
const apps = (namespace: string, resource: string) => `/apis/apps/v1/namespaces/${namespace}/${resource}`;

describe("the account of infra/kubernetes, bound everywhere", () => {
  beforeAll(() => applyOwn("cluster.yaml"));
  afterAll(unbind);

  it("has the rights of the role and no other", async () => {
    const { call } = await asAccount();
    const review = { apiVersion: "authorization.k8s.io/v1", spec: { namespace: web } };
    const path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    const answer = await call("POST", path, { kind: "SelfSubjectRulesReview", ...review });
    const rules: readonly {
      readonly verbs: readonly string[];
      readonly apiGroups: readonly string[];
      readonly resources: readonly string[];
    }[] = jsonOf(answer).status.resourceRules;
    const rights = rules.flatMap(({ verbs, apiGroups, resources }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) => verbs.map((verb) => `${verb} ${resource}.${group}`)),
      ),
    );
    // What every user has is to ask about himself.
    expect(rights.filter((right) => !right.endsWith(".authorization.k8s.io")).toSorted()).toEqual(
      [
        ...["deployments.apps", "statefulsets.apps", "daemonsets.apps", "cronjobs.batch"].flatMap(
          (resource) => [`get ${resource}`, `list ${resource}`, `patch ${resource}`],
        ),
        "list replicasets.apps",
        "list controllerrevisions.apps",
        "list pods.",
        "list events.",
      ].toSorted(),
    );
  });

  it("reads all that a rollout needs, in all namespaces at once", async () => {
    const { call } = await asAccount();
    const statuses: Record<string, number> = {};
    const paths = [
      ...["deployments", "statefulsets", "daemonsets", "replicasets", "controllerrevisions"].map(
        (resource) => `/apis/apps/v1/${resource}`,
      ),
      `/apis/${cronJobs}/cronjobs`,
      "/api/v1/pods",
      "/api/v1/events",
      apps(web, "deployments/web"),
      apps(web, "statefulsets/web"),
      apps(web, "daemonsets/web"),
      `/apis/${cronJobs}/namespaces/${web}/cronjobs/web`,
    ];
    for (const path of paths) statuses[path] = (await call("GET", `${path}?limit=5`)).status;
    expect(statuses).toEqual(Object.fromEntries(paths.map((path) => [path, 200])));
  });

  it.each(["deployments", "statefulsets", "daemonsets"])("patches images: %s", async (resource) => {
    const { call } = await asAccount();
    const answer = await call("PATCH", `${apps(web, `${resource}/web`)}?dryRun=All`, patch("acme/none:v2"));
    expect(answer.status).toBe(200);
    expect(jsonOf(answer).spec.template.spec.containers[0].image).toBe("acme/none:v2");
  });

  it("patches images: cronjobs", async () => {
    const { call } = await asAccount();
    const path = `/apis/${cronJobs}/namespaces/${web}/cronjobs/web?dryRun=All`;
    const body = { spec: { jobTemplate: patch("acme/none:v2") } };
    expect((await call("PATCH", path, body)).status).toBe(200);
  });

  it.each<[name: string, method: Call["method"], path: string, body?: object]>([
    ["read Secrets", "GET", `/api/v1/namespaces/${web}/secrets`],
    ["read one Secret", "GET", `/api/v1/namespaces/${web}/secrets/some`],
    ["read ConfigMaps", "GET", `/api/v1/namespaces/${web}/configmaps`],
    ["read logs", "GET", `/api/v1/namespaces/${web}/pods/some/log`],
    ["read one pod", "GET", `/api/v1/namespaces/${web}/pods/some`],
    ["list namespaces", "GET", "/api/v1/namespaces"],
    ["list nodes", "GET", "/api/v1/nodes"],
    ["watch", "GET", `${apps(web, "deployments")}?watch=true&timeoutSeconds=1`],
    ["replace", "PUT", apps(web, "deployments/web"), { apiVersion: "apps/v1", kind: "Deployment" }],
    ["create", "POST", apps(web, "deployments"), { apiVersion: "apps/v1", kind: "Deployment" }],
    ["delete", "DELETE", apps(web, "deployments/web")],
    ["delete pods", "DELETE", `/api/v1/namespaces/${web}/pods/some`],
    ["scale", "PATCH", apps(web, "deployments/web/scale"), { spec: { replicas: 1 } }],
    ["run something in a pod", "POST", `/api/v1/namespaces/${web}/pods/some/exec?command=id`],
    ["patch the pods of a workload", "PATCH", apps(web, "replicasets/some"), patch("acme/none:v2")],
    ["give itself more rights", "PATCH", `/apis/rbac.authorization.k8s.io/v1/clusterroles/${account}`, {}],
    ["make a token", "POST", `/api/v1/namespaces/${account}/serviceaccounts/${account}/token`, {}],
  ])("may not %s", async (_, method, path, body) => {
    const { call } = await asAccount();
    const answer = await call(method, path, body);
    expect(answer.status).toBe(403);
    expect(rightsAdvice(jsonOf(answer).message)).toContain(
      `system:serviceaccount:${account}:${account} may not`,
    );
  });
});

describe("the account of infra/kubernetes, bound in a namespace", () => {
  beforeAll(() => applyOwn("namespace.yaml", "-n", web));
  afterAll(unbind);

  it("lists and patches there, and nowhere else", async () => {
    const { call } = await asAccount();
    expect((await call("GET", apps(web, "deployments"))).status).toBe(200);
    const path = (namespace: string) => `${apps(namespace, "deployments/web")}?dryRun=All`;
    expect((await call("PATCH", path(web), patch("acme/none:v2"))).status).toBe(200);
    expect((await call("PATCH", path(shop), patch("acme/none:v2"))).status).toBe(403);
    expect((await call("GET", "/apis/apps/v1/deployments")).status).toBe(403);
  });

  it("is told what to run for the rest, and that helps", async () => {
    const { deployments } = await asAccount();
    const failure = await deployments(shop).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "TARGET_DENIED" });
    const [, command = ""] = /`kubectl ([^`]+)`/.exec(String(failure)) ?? [];
    expect(command).toMatch(new RegExp(`^-n ${shop} create rolebinding`));
    await bed.kubectl(...command.replaceAll(/\blandfall\b/g, account).split(" "));
    await expect.poll(() => deployments(shop).catch(String), { timeout: 20_000 }).toEqual(["web"]);
  });

  it("deletes pods where it is given that right, and nowhere else", async () => {
    const { call } = await asAccount();
    await applyOwn("delete-pods.yaml", "-n", web);
    const statusOf = async (namespace: string) =>
      (await call("DELETE", `/api/v1/namespaces/${namespace}/pods/some`)).status;
    // Who may not delete is not told that there is none.
    await expect.poll(() => statusOf(web), { timeout: 20_000 }).toBe(404);
    expect(await statusOf(shop)).toBe(403);
  });
});

describe("a server with a token", () => {
  const ca = () => `\${file:${bed.kubeCaFile}}`;
  beforeAll(() => applyOwn("namespace.yaml", "-n", web));
  afterAll(unbind);

  it("takes up another token without a refusal, a minute after the file was replaced", async () => {
    const token = file("rotated");
    await writeFile(token, await tokenOfAccount());
    const { deployments, clock } = reach({ server: bed.kubeServer, ca: ca(), token: `\${file:${token}}` });
    expect(await deployments(web)).toEqual(["web"]);
    await writeFile(token, `${bed.kubeStrangerToken}\n`);
    expect(await deployments(web)).toEqual(["web"]);
    await clock.advance(60_000);
    await expect(deployments(web)).rejects.toMatchObject({
      code: "TARGET_DENIED",
      message: expect.stringMatching(/stranger may not list deployments\.apps/),
    });
  });

  it("takes up another token at once when the first one has ended, by one more reading", async () => {
    await applyOwn("account.yaml");
    const token = file("ended");
    await writeFile(token, await tokenOfAccount());
    const { deployments, asked } = reach({ server: bed.kubeServer, ca: ca(), token: `\${file:${token}}` });
    expect(await deployments(web)).toEqual(["web"]);
    // A token ends with its account; the server remembers it for some seconds.
    await bed.kubectl("delete", "serviceaccount", account, "-n", account);
    await expect
      .poll(() => deployments(web).catch(String), { timeout: 40_000, interval: 500 })
      .toMatch(/does not accept our credentials \(401\)/);
    const before = asked.length;
    await expect(deployments(web)).rejects.toMatchObject({ code: "TARGET_DENIED" });
    expect(asked.length - before).toBe(2);

    await applyOwn("account.yaml");
    await writeFile(token, await tokenOfAccount());
    expect(await deployments(web)).toEqual(["web"]);
    expect(asked.length - before).toBe(4);
  });

  it("is not spoken to without a certificate that is trusted", async () => {
    await selfSigned("other", "IP:127.0.0.1");
    await writeFile(file("good-token"), await tokenOfAccount());
    const token = `\${file:${file("good-token")}}`;
    const wrong = reach({ server: bed.kubeServer, ca: `\${file:${file("other.crt")}}`, token });
    const none = reach({ server: bed.kubeServer, token });
    for (const { deployments } of [wrong, none]) {
      await expect(deployments(web)).rejects.toMatchObject({
        code: "TARGET_DENIED",
        message: expect.stringMatching(/TLS with the API server fails/),
      });
    }
  });

  it("keeps a path in front of the API, as gateways have one", async () => {
    await selfSigned("gateway", "IP:127.0.0.1");
    const gateway = await startGateway("gateway", "/k8s/clusters/c-1");
    await writeFile(file("good-token"), await tokenOfAccount());
    const { deployments } = reach({
      server: `${gateway.url}/k8s/clusters/c-1/`,
      ca: `\${file:${file("gateway.crt")}}`,
      token: `\${file:${file("good-token")}}`,
    });
    expect(await deployments(web)).toEqual(["web"]);
    expect(gateway.paths.map((path) => path.split("?")[0])).toEqual([
      `/k8s/clusters/c-1${apps(web, "deployments")}`,
    ]);
    await gateway.close();
  });
});

describe("a kubeconfig", () => {
  beforeAll(() => applyOwn("namespace.yaml", "-n", web));
  afterAll(unbind);

  /** Written by kubectl itself. */
  async function written(name: string, server: string, cluster: readonly string[]): Promise<string> {
    const path = file(name);
    const config = (...args: readonly string[]) =>
      run("kubectl", ["config", `--kubeconfig=${path}`, ...args]);
    await config("set-cluster", "edge", `--server=${server}`, ...cluster);
    await config("set-credentials", "landfall", `--token=${await tokenOfAccount()}`);
    await config("set-context", "edge", "--cluster=edge", "--user=landfall");
    await config("use-context", "edge");
    return path;
  }

  it.each(["--embed-certs=true", "--embed-certs=false"])("that kubectl wrote works: %s", async (embed) => {
    const cluster = [`--certificate-authority=${bed.kubeCaFile}`, embed];
    const kubeconfig = await written(`config${embed}`, bed.kubeServer, cluster);
    expect(await reach({ kubeconfig }).deployments(web)).toEqual(["web"]);
    expect(await reach({ kubeconfig, context: "edge" }).deployments(web)).toEqual(["web"]);
  });

  it("names another name for the certificate", async () => {
    await selfSigned("named", "DNS:kubernetes.acme.test");
    const gateway = await startGateway("named", "");
    const trusted = [`--certificate-authority=${file("named.crt")}`];
    const without = await written("without-name", gateway.url, trusted);
    await expect(reach({ kubeconfig: without }).deployments(web)).rejects.toMatchObject({
      code: "TARGET_DENIED",
      message: expect.stringMatching(/TLS/),
    });
    const named = [...trusted, "--tls-server-name=kubernetes.acme.test"];
    const kubeconfig = await written("with-name", gateway.url, named);
    expect(await reach({ kubeconfig }).deployments(web)).toEqual(["web"]);
    await gateway.close();
  });

  it("without verification is refused before anything is sent", async () => {
    const kubeconfig = await written("unverified", bed.kubeServer, ["--insecure-skip-tls-verify=true"]);
    const { deployments, asked } = reach({ kubeconfig });
    await expect(deployments(web)).rejects.toMatchObject({
      code: "TARGET_DENIED",
      message: expect.stringMatching(/insecure-skip-tls-verify is not taken/),
    });
    expect(asked).toEqual([]);
  });
});

/** NAME.crt and NAME.key, an authority that has signed itself. @param subject e.g. `DNS:k8s.acme.test` */
async function selfSigned(name: string, subject: string): Promise<void> {
  const subjects = ["-subj", `/CN=${name}`, "-addext", `subjectAltName=${subject}`];
  const files = ["-keyout", file(`${name}.key`), "-out", file(`${name}.crt`)];
  await run("openssl", [
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-days",
    "2",
    ...subjects,
    ...files,
  ]);
}

/** In front of the API server, with a certificate of `selfSigned`: passes on what is below a path. */
async function startGateway(name: string, prefix: string) {
  const paths: string[] = [];
  const ca = await readFile(bed.kubeCaFile);
  const tls = { cert: await readFile(file(`${name}.crt`)), key: await readFile(file(`${name}.key`)) };
  const server = createServer(tls, (request, response) => {
    const { method, headers, url = "" } = request;
    paths.push(url);
    if (!url.startsWith(`${prefix}/`)) return void response.writeHead(404).end();
    const { host: _, ...passed } = headers;
    const upstream = httpsRequest(`${bed.kubeServer}${url.slice(prefix.length)}`, {
      ca,
      method,
      headers: passed,
    });
    upstream.on("response", (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    request.pipe(upstream);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    paths,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
