import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { printReference } from "../../shared/domain/reference.ts";
import type { Change, Target } from "../../shared/targets/target.ts";
import { targetContract } from "../contracts/target.ts";
import { type Fault, type Json, type Stored, statusBody } from "../doubles/kubernetes-api.ts";
import { fixed, type SmallCluster, smallCluster } from "./small-cluster.ts";

const web = "/apis/apps/v1/namespaces/shop/deployments/web";

targetContract(
  "a Kubernetes cluster (small)",
  { pins: true, fences: true, rollsBackTo: "any", losesAnswers: true },
  async () => {
    const cluster = await smallCluster();
    const pathOf = (name: string) => `/apis/apps/v1/namespaces/shop/deployments/${name.split("/").at(-1)}`;
    const found = (name: string): Stored => {
      const object = cluster.api.find(pathOf(name));
      if (object === undefined) throw new Error(`${name} is not there`);
      return object;
    };
    return {
      target: cluster.target,
      unreachable: cluster.connect({ server: "http://127.0.0.1:1" }),
      prefix: "shop/deployment/",
      publish: async (tag, behaviour) => cluster.publish(tag, behaviour),
      createWorkload: async (name, image, options) => cluster.deploy(name, image, options),
      async touch(name) {
        const object = found(name);
        const annotations = { ...(object.metadata.annotations as Json), touched: "yes" };
        cluster.api.put(pathOf(name), { ...object, metadata: { ...object.metadata, annotations } });
      },
      remove: async (name) => cluster.api.remove(pathOf(name)),
      async rest(name) {
        const { metadata, spec } = found(name);
        const { annotations, labels } = metadata as { annotations?: Json; labels?: Json };
        const others = Object.entries(annotations ?? {}).filter(
          ([key]) => !/^landfall\.|kubernetes\.io/.test(key),
        );
        return JSON.parse(
          JSON.stringify({ labels, others, spec }, (key, value) => (key === "image" ? undefined : value)),
        );
      },
      loseNextAnswer: () => cluster.api.inject({ kind: "lose-answer", on: /^PATCH / }),
      pass: async () => cluster.step(),
      close: () => cluster.close(),
    };
  },
);

describe("a Kubernetes cluster", () => {
  let cluster: SmallCluster;
  beforeEach(async () => {
    cluster = await smallCluster();
  });
  afterEach(() => cluster.close());

  const read = async (name: string, target = cluster.target) => {
    const found = await target.get(name);
    if (found === undefined) throw new Error(`${name} is not there`);
    return found;
  };

  it("sends one strategic merge patch with version, images and annotations, and nothing else", async () => {
    const first = cluster.publish("v1");
    const second = cluster.publish("v2");
    cluster.deploy("shop/deployment/web", first, { spec: podSpec(printReference(first)) });
    const workload = await read("shop/deployment/web");
    expect(workload.containers.map(({ name }) => name)).toEqual(["app", "proxy", "migrate"]);
    const change: Change = {
      seq: 41,
      images: { app: second, migrate: second },
      note: { why: "push 7d0a", atMs: Date.UTC(2026, 0, 5) },
    };
    expect(await cluster.target.update(workload, change)).toEqual({ kind: "accepted" });
    const sent = cluster.api.requests.filter(({ method }) => method === "PATCH");
    expect(sent).toHaveLength(1);
    expect(sent[0]?.path).toBe(web);
    expect(sent[0]?.query.get("fieldManager")).toBe("landfall");
    expect(sent[0]?.headers["user-agent"]).toMatch(/^landfall\//);
    expect(sent[0]?.headers["content-type"]).toBe("application/strategic-merge-patch+json");
    const image = printReference(second);
    expect(JSON.parse(sent[0]?.body ?? "")).toEqual({
      metadata: {
        resourceVersion: workload.version,
        annotations: {
          "landfall.seq": "41",
          "landfall.what": `app=${image} migrate=${image}`,
          "landfall.when": "2026-01-05T00:00:00.000Z",
          "landfall.why": "push 7d0a",
          "kubernetes.io/change-cause": `landfall 41: app=${image} migrate=${image} (push 7d0a)`,
        },
      },
      spec: {
        template: {
          spec: { containers: [{ name: "app", image }], initContainers: [{ name: "migrate", image }] },
        },
      },
    });
  });

  it("takes away the note that an earlier change left", async () => {
    const first = cluster.publish("v1");
    cluster.deploy("shop/deployment/web", first, {
      labels: { "landfall.why": "push 1", "landfall.when": "x" },
    });
    await cluster.target.update(await read("shop/deployment/web"), { seq: 2, images: { app: first } });
    const annotations = cluster.api.find(web)?.metadata.annotations as Json;
    expect(Object.keys(annotations).toSorted()).toEqual([
      "kubernetes.io/change-cause",
      "landfall.seq",
      "landfall.what",
    ]);
  });

  it.each([
    { name: "Docker Hub's short one", before: "acme/web:v1", after: "acme/web:v2" },
    { name: "its long one", before: "docker.io/acme/web:v1", after: "docker.io/acme/web:v2" },
    { name: "an official image's", before: "nginx:1", after: "nginx:v2" },
    { name: "one with a port and no tag", before: "reg.example:5000/web", after: "reg.example:5000/web:v2" },
  ])("keeps the image's name as it is spelled there: $name", async ({ before, after }) => {
    cluster.deploy("shop/deployment/web", cluster.publish("v1"), { spec: podSpec(before) });
    const workload = await read("shop/deployment/web");
    const repository = workload.containers[0]?.reference?.repository;
    if (repository === undefined) throw new Error("unreadable");
    const { digest } = cluster.publish("v2");
    await cluster.target.update(workload, { seq: 1, images: { app: { repository, tag: "v2", digest } } });
    expect((await read("shop/deployment/web")).containers[0]?.image).toBe(`${after}@${digest}`);
  });

  it("sends nothing for a container that the workload does not have", async () => {
    const image = cluster.publish("v1");
    cluster.deploy("shop/deployment/web", image);
    const workload = await read("shop/deployment/web");
    expect(await cluster.target.update(workload, { seq: 1, images: { app: image, web: image } })).toEqual({
      kind: "refused",
      message: "it has no container web, only app",
    });
    expect(cluster.api.requests.filter(({ method }) => method === "PATCH")).toEqual([]);
  });

  it("patches the template of a CronJob's jobs, in the version of the API that it was read by", async () => {
    const image = cluster.publish("v1");
    const path = "/apis/batch/v1beta1/namespaces/shop/cronjobs/nightly";
    const { template } = podSpec(printReference(image));
    cluster.api.put(path, { metadata: {}, spec: { jobTemplate: { spec: { template } } }, status: {} });
    const workload = await read("shop/cronjob/nightly");
    const second = cluster.publish("v2");
    expect(await cluster.target.update(workload, { seq: 3, images: { app: second } })).toEqual({
      kind: "accepted",
    });
    const after = await read("shop/cronjob/nightly");
    expect(after.containers.find(({ name }) => name === "app")?.reference).toEqual(second);
    expect(after).toMatchObject({ fence: 3 });
    expect(await cluster.target.look("shop/cronjob/nightly")).toMatchObject({
      update: "none",
      wantedTasks: 0,
      tasks: [],
      unproven: "takes effect at the next run",
    });
  });

  it("asks for CronJobs by the newer API first, and does without any", async () => {
    cluster.api.put("/apis/batch/v1/namespaces/shop/cronjobs/nightly", {
      spec: { jobTemplate: { spec: podSpec("acme/web:v1") } },
    });
    expect(await cluster.target.list()).toEqual([]);
    cluster.api.served.add("/apis/batch/v1/cronjobs");
    expect((await cluster.target.list()).map(({ name }) => name)).toEqual(["shop/cronjob/nightly"]);
    cluster.api.served.delete("/apis/batch/v1/cronjobs");
    cluster.api.served.delete("/apis/batch/v1beta1/cronjobs");
    expect(await cluster.target.list()).toEqual([]);
    expect(await cluster.target.get("shop/cronjob/nightly")).toBeUndefined();
  });

  it("follows the pages of a list, and starts over when the cluster has lost them", async () => {
    const image = cluster.publish("v1");
    for (const name of ["a", "b", "c"]) cluster.deploy(`shop/deployment/${name}`, image);
    cluster.api.pageSize = 1;
    const names = async () => (await cluster.target.list()).map(({ name }) => name.split("/").at(-1));
    expect(await names()).toEqual(["a", "b", "c"]);
    const deployments = () =>
      cluster.api.requests.filter(({ path }) => path.endsWith("/deployments")).map(({ query }) => query);
    expect(deployments().map((query) => query.get("limit"))).toEqual(["500", "500", "500"]);
    const expired = statusBody(410, "Expired", "The provided continue parameter is too old");
    const before = deployments().length;
    // The first answer of the list is a good one.
    let asked = 0;
    cluster.api.refuseList = (path) => (path.endsWith("/deployments") && ++asked === 2 ? expired : undefined);
    expect(await names()).toEqual(["a", "b", "c"]);
    expect(deployments().length - before).toBe(5);
    cluster.api.refuseList = (path, query) =>
      path.endsWith("/deployments") && query.has("continue") ? expired : undefined;
    await expect(names()).rejects.toMatchObject({ code: "TARGET_UNAVAILABLE" });
  });

  it("lists each configured namespace by itself, or the cluster without what runs it", async () => {
    const image = cluster.publish("v1");
    const spaces = ["shop", "web", "kube-system", "argocd", "flux-system"];
    for (const space of spaces) cluster.deploy(`${space}/deployment/app`, image);
    const listed = async (namespaces: readonly string[]) => {
      const target = cluster.connect({ namespaces });
      return (await target.list()).map(({ name }) => name.split("/")[0]);
    };
    expect(await listed(["*"])).toEqual(["shop", "web"]);
    expect(await listed(["web", "kube-system"])).toEqual(["web", "kube-system"]);
    const target = cluster.connect({ namespaces: ["*"] });
    expect(await target.get("argocd/deployment/app")).toBeUndefined();
    expect(await target.look("kube-system/deployment/app")).toBeUndefined();
    expect((await read("web/deployment/app", target)).id).toBe("k8s/web/deployment/app");
    expect(await cluster.target.get("web/deployment/app")).toBeUndefined();
  });

  it.each(["web", "shop/web", "shop/replicaset/web", "shop/deployment/web/scale", "shop/deployment/../web"])(
    "asks nothing for %s, which can be no workload's name",
    async (name) => {
      expect(await cluster.target.get(name)).toBeUndefined();
      expect(cluster.api.requests).toEqual([]);
    },
  );

  it("leaves one object that it cannot read out of a list, and says of one that is asked for what is wrong", async () => {
    const image = cluster.publish("v1");
    cluster.deploy("shop/deployment/web", image);
    cluster.api.put("/apis/apps/v1/namespaces/shop/deployments/odd", { spec: "none" });
    expect((await cluster.target.list()).map(({ name }) => name)).toEqual(["shop/deployment/web"]);
    await expect(cluster.target.get("shop/deployment/odd")).rejects.toMatchObject({
      code: "TARGET_UNAVAILABLE",
      message: "k8s: the API server's answer is no deployment (spec)",
    });
  });

  it("keeps the path of the server's address", async () => {
    const server = `${cluster.api.server}/v1/projects/7/gkeMemberships/prod`;
    const target = cluster.connect({ server });
    await expect(target.get("shop/deployment/web")).rejects.toMatchObject({ code: "TARGET_UNAVAILABLE" });
    const path = `/v1/projects/7/gkeMemberships/prod${web}`;
    expect(cluster.api.requests.map((request) => request.path)).toEqual([path]);
  });

  it("has a refused credential renewed once, on reads and on writes, and then says so", async () => {
    cluster.api.tokens.add("new");
    const image = cluster.publish("v1");
    cluster.deploy("shop/deployment/web", image);
    let token = "old";
    let renewals = 0;
    const connection = () => ({ server: cluster.api.server, headers: { authorization: `Bearer ${token}` } });
    const access = {
      ...fixed(connection()),
      connect: async () => connection(),
      renew: async () => {
        renewals += 1;
        token = "new";
        return connection();
      },
    };
    const target = cluster.connect({ access });
    const workload = await read("shop/deployment/web", target);
    token = "old";
    expect(await target.update(workload, { seq: 1, images: { app: image } })).toEqual({ kind: "accepted" });
    expect(renewals).toBe(2);
    cluster.api.tokens.clear();
    cluster.api.tokens.add("another");
    await expect(target.list()).rejects.toMatchObject({
      code: "TARGET_DENIED",
      message: "k8s: the API server does not accept our credentials (401): Unauthorized",
    });
  });

  it("believes a missing right only when it is missing two seconds later", async () => {
    cluster.deploy("shop/deployment/web", cluster.publish("v1"));
    const pauses: number[] = [];
    let nowMs = 0;
    const clock = {
      now: () => nowMs,
      monotonic: () => nowMs,
      sleep: async (ms: number) => {
        pauses.push(ms);
        nowMs += ms;
      },
    };
    const target = cluster.connect({ clock });
    cluster.api.inject({ kind: "answer", on: /^GET/, status: 403, body: forbidden("get") });
    expect((await read("shop/deployment/web", target)).name).toBe("shop/deployment/web");
    expect(pauses).toEqual([2_000]);
    cluster.api.inject({ kind: "answer", on: /^GET/, status: 403, body: forbidden("get"), times: 3 });
    const denied = {
      code: "TARGET_DENIED",
      message: expect.stringContaining("landfall may not get deployments"),
    };
    await expect(target.get("shop/deployment/web")).rejects.toMatchObject(denied);
    // A minute long nothing is repeated.
    await expect(target.get("shop/deployment/web")).rejects.toMatchObject(denied);
    expect(pauses).toEqual([2_000, 2_000]);
  });

  it.each<{ name: string; fault: Pick<Fault & { kind: "answer" }, "status" | "body">; error: object }>([
    {
      name: "a cluster that limits calls",
      fault: { status: 429, body: statusBody(429, "TooManyRequests", "try again later") },
      error: { code: "TARGET_UNAVAILABLE", retryAfterMs: 7_000 },
    },
    {
      name: "an API server that stops",
      fault: { status: 503, body: statusBody(503, "ServiceUnavailable", "apiserver is shutting down") },
      error: { code: "TARGET_UNAVAILABLE", message: expect.stringContaining("shutting down") },
    },
    {
      name: "a page of something in between",
      fault: { status: 200, body: "<html>" },
      error: { code: "TARGET_UNAVAILABLE" },
    },
    {
      name: "something else than Kubernetes",
      fault: { status: 404, body: "404 page not found" },
      error: { code: "TARGET_UNAVAILABLE", message: expect.stringContaining("no Kubernetes API answers") },
    },
    {
      name: "a proxy that refuses",
      fault: { status: 403, body: "no" },
      error: { code: "TARGET_DENIED", message: expect.stringContaining("refuses to be read (403)") },
    },
  ])("knows nothing by way of $name", async ({ fault, error }) => {
    cluster.deploy("shop/deployment/web", cluster.publish("v1"));
    const calls = [
      (target: Target) => target.list(),
      (target: Target) => target.get("shop/deployment/web"),
      (target: Target) => target.look("shop/deployment/web"),
    ];
    for (const call of calls) {
      const headers = { "retry-after": "7" };
      cluster.api.inject({ kind: "answer", on: /deployments/, ...fault, headers });
      await expect(call(cluster.target)).rejects.toMatchObject(error);
    }
  });

  it.each<{ name: string; fault: { status: number; body: string } | "drop"; outcome: object }>([
    {
      name: "an admission webhook's refusal",
      fault: {
        status: 400,
        body: statusBody(400, "BadRequest", 'admission webhook "sign" denied the request: unsigned image'),
      },
      outcome: {
        kind: "refused",
        message:
          'the cluster refused the change: admission webhook "sign" denied the request: unsigned image',
      },
    },
    {
      name: "a change that is not valid",
      fault: {
        status: 422,
        body: statusBody(422, "Invalid", 'Deployment.apps "web" is invalid: spec.x: Required'),
      },
      outcome: { kind: "refused", message: expect.stringContaining("is invalid") },
    },
    {
      name: "another conflict than a version's",
      fault: { status: 409, body: statusBody(409, "AlreadyExists", "it is there already") },
      outcome: { kind: "refused", message: "the cluster refused the change: it is there already" },
    },
    {
      name: "a write that may have arrived",
      fault: { status: 500, body: statusBody(500, "InternalError", "etcdserver: request timed out") },
      outcome: { kind: "unknown", message: "the API server answered 500: etcdserver: request timed out" },
    },
    {
      name: "a gateway that waited too long",
      fault: { status: 504, body: "" },
      outcome: { kind: "unknown", message: "the API server answered 504" },
    },
    {
      name: "an answer that is none of the API's",
      fault: { status: 200, body: "<html>" },
      outcome: { kind: "unknown", message: expect.stringContaining("none of the API's") },
    },
    {
      name: "an object that is none of that kind",
      fault: { status: 200, body: "{}" },
      outcome: { kind: "unknown", message: expect.stringContaining("no deployment") },
    },
    { name: "a connection that broke", fault: "drop", outcome: { kind: "unknown" } },
  ])("tells $name", async ({ fault, outcome }) => {
    const image = cluster.publish("v1");
    cluster.deploy("shop/deployment/web", image);
    const workload = await read("shop/deployment/web");
    cluster.api.inject(
      fault === "drop" ? { kind: "drop", on: /^PATCH / } : { kind: "answer", on: /^PATCH /, ...fault },
    );
    expect(await cluster.target.update(workload, { seq: 1, images: { app: image } })).toMatchObject(outcome);
  });

  it.each([
    { name: "limits calls", status: 429, body: statusBody(429, "TooManyRequests", "slow down") },
    {
      name: "cannot ask an admission webhook",
      status: 500,
      body: statusBody(500, "InternalError", 'failed calling webhook "sign": context deadline exceeded'),
    },
    { name: "is behind a proxy that refuses", status: 403, body: "" },
  ])("has done nothing when the cluster $name", async ({ status, body }) => {
    const image = cluster.publish("v1");
    cluster.deploy("shop/deployment/web", image);
    const workload = await read("shop/deployment/web");
    cluster.api.inject({ kind: "answer", on: /^PATCH /, status, body });
    await expect(cluster.target.update(workload, { seq: 1, images: { app: image } })).rejects.toMatchObject({
      code: "TARGET_UNAVAILABLE",
    });
  });

  it("tells of a missing right to write what a person can do", async () => {
    const image = cluster.publish("v1");
    cluster.deploy("shop/deployment/web", image);
    const workload = await read("shop/deployment/web");
    cluster.api.inject({ kind: "answer", on: /^PATCH /, status: 403, body: forbidden("patch"), times: 2 });
    const target = cluster.connect({ clock: { now: () => 0, monotonic: () => 0, sleep: async () => {} } });
    expect(await target.update(workload, { seq: 1, images: { app: image } })).toMatchObject({
      kind: "refused",
      message: expect.stringMatching(/landfall may not patch deployments\.apps .*apply infra\/kubernetes/),
    });
  });

  it("takes a rewritten name with the same digest, and tells of another digest", async () => {
    const first = cluster.publish("v1");
    const second = cluster.publish("v2");
    cluster.deploy("shop/deployment/web", first);
    const rewrite = (to: string) => (object: Stored) =>
      JSON.parse(JSON.stringify(object).replaceAll(printReference(second), to)) as Stored;
    cluster.api.admit = rewrite(`mirror.example/acme/web@${second.digest}`);
    const images = { app: second };
    const workload = await read("shop/deployment/web");
    expect(await cluster.target.update(workload, { seq: 1, images })).toEqual({ kind: "accepted" });
    cluster.api.admit = rewrite("reg.example/acme/web:v2");
    cluster.deploy("shop/deployment/web", first);
    expect(await cluster.target.update(await read("shop/deployment/web"), { seq: 2, images })).toEqual({
      kind: "refused",
      message: "the cluster's admission changed app to reg.example/acme/web:v2",
    });
  });

  it("asks for no node, and knows no platform", async () => {
    expect(await cluster.target.platforms()).toEqual([]);
    expect(cluster.api.requests).toEqual([]);
  });
});

function podSpec(image: string) {
  return {
    template: {
      metadata: {},
      spec: {
        containers: [
          { name: "app", image },
          { name: "proxy", image: "acme/proxy:v1" },
        ],
        initContainers: [{ name: "migrate", image }],
      },
    },
  };
}

function forbidden(verb: string): string {
  return statusBody(
    403,
    "Forbidden",
    `deployments.apps "web" is forbidden: User "landfall" cannot ${verb} resource "deployments" in API group "apps" in the namespace "shop"`,
  );
}
