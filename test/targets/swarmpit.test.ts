import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type SandboxSwarmpit,
  type SwarmpitFault,
  startSandboxSwarmpit,
} from "../../functions/local/sandbox/swarmpit/swarmpit.ts";
import { systemClock } from "../../shared/clock.ts";
import { type Digest, printReference } from "../../shared/domain/reference.ts";
import type { Workload } from "../../shared/domain/workload.ts";
import { httpClient } from "../../shared/http.ts";
import { redeployOutcome } from "../../shared/targets/swarmpit/answers.ts";
import { swarmpitClient } from "../../shared/targets/swarmpit/client.ts";
import { SwarmpitConfig } from "../../shared/targets/swarmpit/config.ts";
import { create } from "../../shared/targets/swarmpit/swarmpit.ts";
import type { Target, WriteOutcome } from "../../shared/targets/target.ts";
import { targetContract } from "../contracts/target.ts";
import { swarmpitWorld } from "./swarmpit-world.ts";

const digest: Digest = `sha256:${"a".repeat(64)}`;
const older: Digest = `sha256:${"b".repeat(64)}`;

/** A service as the API shows it, every absent value a null. */
const row = {
  id: "penpnhep0bsciofxzd542v62n",
  version: 3240,
  createdAt: "2026-05-01T10:00:00.1Z",
  updatedAt: "2026-05-14T09:12:01.9Z",
  repository: { name: "acme/web", tag: "INT", image: "acme/web:INT", imageDigest: older },
  serviceName: "shop_web",
  mode: "replicated",
  stack: "shop",
  agent: null,
  immutable: null,
  links: [],
  replicas: 2,
  state: "running",
  status: { tasks: { running: 2, total: 2 }, update: "completed", message: "update completed" },
  variables: [{ name: "PASSWORD", value: "hidden" }],
  labels: [{ name: "team", value: "forms" }],
  containerLabels: [],
  command: null,
  deployment: { forceUpdate: 7, rollbackAllowed: true, autoredeploy: false, maxReplicas: null },
};
const task = {
  id: "6e6pns9vz9nmupac3vylhva5v",
  taskName: "shop_web.2",
  version: 320,
  createdAt: "2026-11-21T23:50:13.79729738Z",
  updatedAt: "2026-11-21T23:50:14.355679756Z",
  repository: { image: "acme/web:INT", imageDigest: digest },
  state: "running",
  status: { error: null },
  desiredState: "running",
  serviceName: "shop_web",
  nodeId: "0rsgs1ddk95pa8eumwkvxt7xa",
  stats: null,
};

let swarmpit: SandboxSwarmpit;
let target: Target;

beforeEach(async () => {
  swarmpit = await startSandboxSwarmpit({
    clock: systemClock,
    engine: async () => ({ status: 503, headers: {}, body: `{"message":"no engine in this test"}` }),
  });
  target = targetAt(swarmpit.url, swarmpit.token());
});
afterEach(async () => {
  await target.close();
  await swarmpit.close();
});

targetContract(
  "a Swarmpit (in the sandbox, over a small swarm)",
  { pins: false, fences: false, rollsBackTo: "previous", losesAnswers: true },
  async () => {
    const world = await swarmpitWorld();
    const { swarm, registry, clock } = world;
    const service = async (name: string) => JSON.parse((await swarm.handle("GET", `/services/${name}`)).body);
    const behind = world.swarmpit;
    const reached = targetAt(behind.url, behind.token());
    return {
      target: reached,
      unreachable: targetAt("http://127.0.0.1:1/api", "token"),
      prefix: "",
      async publish(tag, behaviour) {
        const command = behaviour === "exits" ? ["exit", "3", "100"] : ["run"];
        const pushed = registry.push("acme/web", tag, { command });
        return { repository: `${registry.host}/acme/web`, tag, digest: pushed };
      },
      createWorkload: (name, image, options) => world.create(name, printReference(image), options),
      async touch(name) {
        const { Version, Spec } = await service(name);
        const spec = JSON.stringify({ ...Spec, Labels: { ...Spec.Labels, touched: "yes" } });
        await swarm.handle("POST", `/services/${name}/update?version=${Version.Index}`, spec);
      },
      remove: async (name) => void (await swarm.handle("DELETE", `/services/${name}`)),
      rest: async (name) =>
        JSON.parse(
          JSON.stringify((await service(name)).Spec, (key, value) =>
            ["Image", "ForceUpdate"].includes(key) ? undefined : value,
          ),
        ),
      async writeUnchanged(name) {
        const { Version, Spec } = await service(name);
        await swarm.handle("POST", `/services/${name}/update?version=${Version.Index}`, JSON.stringify(Spec));
      },
      loseNextAnswer: (of) => behind.fail(of === "update" ? "redeploy" : "rollback", { kind: "lose-answer" }),
      pass: () => clock.advance(500),
      async close() {
        await reached.close();
        await world.close();
      },
    };
  },
);

describe("the token", () => {
  it.each([
    { name: "as Swarmpit shows it", form: (token: string) => token },
    { name: "without its Bearer", form: (token: string) => token.replace("Bearer ", "") },
    { name: "with a Bearer in lower case", form: (token: string) => token.replace("Bearer", "bearer") },
    { name: "with two Bearers", form: (token: string) => `Bearer ${token}` },
    { name: "with a line's end behind it", form: (token: string) => `${token}\n` },
  ])("is accepted $name", async ({ form }) => {
    const other = targetAt(`${swarmpit.url}/`, form(swarmpit.token()));
    await expect(other.list()).rejects.toMatchObject({ code: "TARGET_UNAVAILABLE" });
    expect(swarmpit.requests.map(({ method, path, status }) => `${method} ${path} ${status}`)).toEqual([
      "GET /api/services 503",
    ]);
    await other.close();
  });

  it("is asked for at each call, so that a rotated one is used at once", async () => {
    let token = "stale";
    const other = create(config(swarmpit.url), {
      secret: () => () => token,
      pullCredentials: () => undefined,
    });
    await expect(other.get("web")).rejects.toMatchObject({ code: "TARGET_DENIED" });
    token = swarmpit.token();
    answerReads(row);
    expect(await other.get("shop_web")).toMatchObject({ name: "shop_web" });
    await other.close();
  });

  it("is tried once more, because Swarmpit also calls it invalid when it cannot look its user up", async () => {
    swarmpit.fail("read", marked(401, `{"error":"Token invalid"}`));
    answerReads([row]);
    expect(await target.list()).toHaveLength(1);
    expect(swarmpit.requests.map(({ status }) => status)).toEqual([401, 200]);
  });

  it("is named when Swarmpit refuses it twice", async () => {
    swarmpit.removeUser("admin");
    await expect(target.update(workload(), change())).rejects.toMatchObject({
      code: "TARGET_DENIED",
      message: expect.stringMatching(/token.*Token rejected/),
    });
    expect(swarmpit.requests.map(({ status }) => status)).toEqual([401, 401]);
  });

  it("never appears in an error", async () => {
    const secret = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0.c2VjcmV0";
    const other = targetAt(swarmpit.url, secret);
    const error = await other.list().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "TARGET_DENIED" });
    expect(String(error)).not.toContain(secret);
    await other.close();
  });
});

describe("a redeploy", () => {
  it("is one POST, without a body or a query", async () => {
    swarmpit.fail("redeploy", { kind: "answer", status: 202 });
    expect(await target.update(workload(), change())).toEqual({ kind: "accepted" });
    expect(swarmpit.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "POST /api/services/penpnhep0bsciofxzd542v62n/redeploy",
    ]);
  });

  interface Case {
    readonly name: string;
    readonly fault: SwarmpitFault;
    readonly outcome: WriteOutcome["kind"];
    readonly words?: string;
  }
  it.each<Case>([
    { name: "202 without a body is accepted", fault: plain(202), outcome: "accepted" },
    {
      name: "200 with a login page is not",
      fault: plain(200, "<html>Log in</html>"),
      outcome: "unknown",
      words: "200",
    },
    {
      name: "401 without Swarmpit's mark is the registry's",
      fault: plain(401, `{"error":"No matching registry ( ghcr.io ) linked with Swarmpit"}`),
      outcome: "refused",
      words: "No matching registry ( ghcr.io ) linked with Swarmpit: link the registry's account",
    },
    {
      name: "403 without Swarmpit's mark is the registry's",
      fault: plain(403, `{"error":null}`),
      outcome: "refused",
      words: "link the registry's account",
    },
    {
      name: "404 with Docker's words says that the service is gone",
      fault: plain(404, `{"error":"service penpnhep0bsciofxzd542v62n not found"}`),
      outcome: "gone",
    },
    {
      name: "404 without words is no missing service but OCI content",
      fault: plain(404, `{"error":null}`),
      outcome: "refused",
      words: "no Docker-type manifest",
    },
    {
      name: "404 with a registry's words is no missing service",
      fault: plain(404, `{"error":"manifest unknown"}`),
      outcome: "refused",
      words: "manifest unknown",
    },
    {
      name: "500 out of sequence is a lost race",
      fault: plain(500, `{"error":"rpc error: code = Unknown desc = update out of sequence"}`),
      outcome: "conflict",
    },
    {
      name: "409 is a lost race too, should Docker come to use it",
      fault: plain(409, `{"error":"x"}`),
      outcome: "conflict",
    },
    {
      name: "408 leaves it open",
      fault: plain(408, `{"error":"Request timeout"}`),
      outcome: "unknown",
      words: "Request timeout",
    },
    {
      name: "500 with a socket's timeout leaves it open",
      fault: plain(500, `{"error":"Read timed out"}`),
      outcome: "unknown",
      words: "Read timed out",
    },
    {
      name: "500 of an exception leaves it open",
      fault: plain(500, `{"via":[],"trace":[],"cause":"Connection is closed"}`),
      outcome: "unknown",
      words: "Connection is closed",
    },
    {
      name: "a proxy's 502 leaves it open",
      fault: plain(502, "<html>Bad gateway</html>"),
      outcome: "unknown",
    },
    { name: "a lost answer leaves it open", fault: { kind: "lose-answer" }, outcome: "unknown" },
    {
      name: "Docker's 400 is a refusal",
      fault: plain(
        400,
        `{"error":"rpc error: code = InvalidArgument desc = ContainerSpec: \\"web:1@\\" is not a valid repository/tag"}`,
      ),
      outcome: "refused",
      words: "not a valid repository/tag",
    },
  ])("$name", async ({ fault, outcome, words }) => {
    swarmpit.fail("redeploy", fault);
    const result = await target.update(workload(), change());
    expect(result.kind).toBe(outcome);
    if (words !== undefined) expect(result).toMatchObject({ message: expect.stringContaining(words) });
    expect(swarmpit.requests).toHaveLength(1);
  });

  it("advises the other kind of target for OCI content", async () => {
    swarmpit.fail("redeploy", plain(404, `{"error":null}`));
    expect(await target.update(workload(), change())).toMatchObject({
      message: expect.stringContaining("`kind: swarm`"),
    });
  });

  it.each<{ name: string; fault: SwarmpitFault; code: string; words: string }>([
    {
      name: "403 with Swarmpit's mark is a role too low",
      fault: marked(403, `{"error":"Unauthorized user access"}`),
      code: "TARGET_DENIED",
      words: "role of the token's user is too low",
    },
    {
      name: "401 with a proxy's page is the proxy's",
      fault: plain(401, "<html>Sign in</html>"),
      code: "TARGET_DENIED",
      words: "in front of Swarmpit",
    },
    {
      name: "404 without a body is a wrong address",
      fault: plain(404),
      code: "TARGET_UNAVAILABLE",
      words: "`url`",
    },
    {
      name: "405 without a body is a wrong address",
      fault: plain(405),
      code: "TARGET_UNAVAILABLE",
      words: "`url`",
    },
    {
      name: "404 with a page is a wrong address",
      fault: plain(404, "<h1>service web not found</h1>"),
      code: "TARGET_UNAVAILABLE",
      words: "`url`",
    },
    { name: "308 is a wrong address", fault: plain(308), code: "TARGET_UNAVAILABLE", words: "https or http" },
    {
      name: "429 is the registry's limit",
      fault: plain(429, `{"error":null}`),
      code: "TARGET_UNAVAILABLE",
      words: "asked Swarmpit to wait",
    },
  ])("$name", async ({ fault, code, words }) => {
    swarmpit.fail("redeploy", fault);
    await expect(target.update(workload(), change())).rejects.toMatchObject({
      code,
      message: expect.stringContaining(words),
    });
    expect(swarmpit.requests).toHaveLength(1);
  });

  it("is refused to a viewer, as a matter of configuration", async () => {
    swarmpit.setRole("admin", "viewer");
    await expect(target.update(workload(), change())).rejects.toMatchObject({
      code: "TARGET_DENIED",
      message: expect.stringContaining("Unauthorized user access"),
    });
  });

  it("that is not answered in time leaves it open", async () => {
    const http = httpClient();
    const token = swarmpit.token();
    const impatient = swarmpitClient({
      target: "prod",
      url: swarmpit.url,
      token: () => token,
      headers: {},
      http,
      deadlineMs: 50,
    });
    swarmpit.fail("redeploy", { kind: "hang" });
    expect(await impatient.redeploy("web")).toMatchObject({ kind: "unknown" });
    swarmpit.fail("read", { kind: "hang" });
    await expect(impatient.read("services")).rejects.toMatchObject({ code: "TARGET_UNAVAILABLE" });
    await http.close();
  });

  it("that certainly was not sent is an error, no open question", async () => {
    await swarmpit.close();
    await expect(target.update(workload(), change())).rejects.toMatchObject({ code: "TARGET_UNAVAILABLE" });
  });

  it("is not asked for where Swarmpit misreads a port as a tag", async () => {
    answerReads(withImage("reg.example:5000/acme/web", "5000/acme/web", null));
    const untagged = await found(target.get("shop_web"));
    expect(untagged.containers[0]?.reference).toEqual({
      repository: "reg.example:5000/acme/web",
      tag: "latest",
    });
    const images = { shop_web: { repository: "reg.example:5000/acme/web", tag: "latest", digest } } as const;
    expect(await target.update(untagged, { seq: 1, images })).toMatchObject({
      kind: "refused",
      message: expect.stringContaining("name the tag"),
    });
    expect(swarmpit.requests.filter(({ method }) => method === "POST")).toEqual([]);
  });

  it("is accepted for a 202 only, whatever else comes back", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 200, max: 599 }),
        fc.oneof(fc.string(), fc.json(), fc.constant(`{"error":null}`)),
        fc.boolean(),
        (status, body, fromSwarmpit) => {
          const { kind } = redeployOutcome({ status, headers: {}, body: Buffer.from(body) }, fromSwarmpit);
          expect(kind === "accepted").toBe(status === 202);
        },
      ),
    );
  });
});

describe("a read", () => {
  it("maps a service, and keeps nothing of its environment", async () => {
    answerReads(row);
    const read = await found(target.get("shop_web"));
    expect(read).toMatchObject({
      id: "prod/shop_web",
      target: "prod",
      name: "shop_web",
      version: "3240",
      containers: [
        {
          name: "shop_web",
          image: `acme/web:INT@${older}`,
          reference: { repository: "docker.io/acme/web", tag: "INT", digest: older },
        },
      ],
      settings: {},
      misplacedSettings: [],
      fence: 0,
    });
    expect(read).not.toHaveProperty("managedBy");
    expect(JSON.stringify(read)).not.toContain("hidden");
  });

  it.each([
    { image: "nginx", tag: "", digest: null, reference: "docker.io/library/nginx latest" },
    { image: "nginx:1.25", tag: "1.25", digest, reference: "docker.io/library/nginx 1.25" },
    { image: "acme/web:INT", tag: "INT", digest, reference: "docker.io/acme/web INT" },
    { image: "acme/team/web:1", tag: "1", digest: null, reference: "docker.io/acme/team/web 1" },
    {
      image: "reg.example:5000/acme/web:v1",
      tag: "v1",
      digest,
      reference: "reg.example:5000/acme/web v1",
    },
    {
      image: "reg.example:5000/acme/web",
      tag: "5000/acme/web",
      digest: null,
      reference: "reg.example:5000/acme/web latest",
    },
    { image: "docker.io/acme/web:1", tag: "1", digest: null, reference: "docker.io/acme/web 1" },
    { image: "acme/site.web:1", tag: "1", digest: null, reference: "docker.io/acme/site.web 1" },
    { image: "localhost/web:1", tag: "1", digest: null, reference: "localhost/web 1" },
  ])("reads the image $image as Docker does, not as Swarmpit splits it", async (each) => {
    answerReads(withImage(each.image, each.tag, each.digest));
    const [container] = (await found(target.get("shop_web"))).containers;
    const { repository, tag } = container?.reference ?? {};
    expect(`${repository} ${tag}`).toBe(each.reference);
    expect(container?.image).toBe(each.digest === null ? each.image : `${each.image}@${each.digest}`);
  });

  it("reads a pinned image without a tag as pinned to its digest, not as latest", async () => {
    answerReads(withImage("acme/web", "", digest));
    const [container] = (await found(target.get("shop_web"))).containers;
    expect(container?.reference).toEqual({ repository: "docker.io/acme/web", digest });
  });

  it("takes null for everything that is optional", async () => {
    const nulls = Object.fromEntries(Object.keys(row).map((key) => [key, null]));
    answerReads([{ ...nulls, id: "x", version: 1, serviceName: "bare" }]);
    expect(await target.list()).toEqual([
      {
        id: "prod/bare",
        target: "prod",
        name: "bare",
        version: "1",
        containers: [{ name: "bare", image: "" }],
        settings: {},
        misplacedSettings: [],
        fence: 0,
        raw: { id: "x", repository: null },
      },
    ]);
  });

  it("leaves a row out that it cannot read, and no other one", async () => {
    answerReads([{ ...row, serviceName: null }, row, "garbage", { ...row, labels: "landfall.policy=none" }]);
    expect((await target.list()).map(({ name }) => name)).toEqual(["shop_web"]);
  });

  it("obeys the labels of the service and reports those of the container", async () => {
    answerReads({
      ...row,
      labels: [
        { name: "landfall.policy", value: "none" },
        { name: "landfall", value: "no" },
      ],
      containerLabels: [{ name: "landfall.pause", value: "true" }],
    });
    expect(await target.get("shop_web")).toMatchObject({
      settings: { policy: "none" },
      misplacedSettings: ["landfall.pause"],
    });
  });

  it.each([
    {
      name: "auto-redeployed",
      change: { deployment: { autoredeploy: true } },
      managedBy: "swarmpit autoredeploy",
    },
    { name: "immutable", change: { immutable: true }, managedBy: "swarmpit, which marks it immutable" },
    { name: "Swarmpit's agent", change: { agent: true }, managedBy: "swarmpit, whose agent it is" },
  ])("says who else deploys a service that is $name", async ({ change: changed, managedBy }) => {
    answerReads({ ...row, ...changed });
    expect(await target.get("shop_web")).toMatchObject({ managedBy });
  });

  it("takes no other service for the one whose name was asked for", async () => {
    answerReads(row);
    expect(await target.get("shop")).toBeUndefined();
  });

  it("asks for the list once, however many services there are", async () => {
    answerReads(Array.from({ length: 500 }, (_, index) => ({ ...row, serviceName: `web-${index}` })));
    expect(await target.list()).toHaveLength(500);
    expect(swarmpit.requests).toHaveLength(1);
  });

  it.each<{ name: string; fault: SwarmpitFault; code: string; words: string }>([
    {
      name: "no JSON",
      fault: plain(200, "<html>Swarmpit</html>"),
      code: "TARGET_UNAVAILABLE",
      words: "`url`",
    },
    { name: "another JSON", fault: plain(200, `{"services":[]}`), code: "TARGET_UNAVAILABLE", words: "list" },
    {
      name: "500",
      fault: plain(500, `{"error":"Read timed out"}`),
      code: "TARGET_UNAVAILABLE",
      words: "500",
    },
    { name: "429", fault: plain(429), code: "TARGET_UNAVAILABLE", words: "429" },
    { name: "404 without a body", fault: plain(404), code: "TARGET_UNAVAILABLE", words: "`url`" },
    {
      name: "404 without words",
      fault: plain(404, `{"error":null}`),
      code: "TARGET_UNAVAILABLE",
      words: "404",
    },
    { name: "a proxy's 403", fault: plain(403), code: "TARGET_DENIED", words: "in front of Swarmpit" },
    { name: "a cut connection", fault: { kind: "lose-answer" }, code: "TARGET_UNAVAILABLE", words: "prod" },
  ])("fails as a whole on $name", async ({ fault, code, words }) => {
    swarmpit.fail("read", fault);
    await expect(target.list()).rejects.toMatchObject({ code, message: expect.stringContaining(words) });
  });
});

describe("a look", () => {
  it("maps the update and the tasks, old ones too", async () => {
    const old = {
      ...task,
      id: "old",
      repository: { image: "acme/web:INT", imageDigest: older },
      state: "shutdown",
      desiredState: "shutdown",
    };
    answerReads(row, [task, old]);
    expect(await target.look("shop_web")).toMatchObject({
      update: "completed",
      message: "update completed",
      wantedTasks: 2,
      windowMs: 5_000,
      tasks: [
        {
          id: "6e6pns9vz9nmupac3vylhva5v",
          slot: "2",
          desired: true,
          images: { shop_web: `acme/web:INT@${digest}` },
          state: "running",
          restarts: 0,
          createdMs: Date.parse("2026-11-21T23:50:13.797Z"),
        },
        { id: "old", slot: "2", desired: false, images: { shop_web: `acme/web:INT@${older}` } },
      ],
    });
    expect(swarmpit.requests).toHaveLength(2);
  });

  it.each([
    { update: null, shown: "none", said: "words" },
    { update: "updating", shown: "updating", said: undefined },
    { update: "completed", shown: "completed", said: "words" },
    { update: "paused", shown: "paused", said: "words" },
    { update: "rollback_started", shown: "rolling-back", said: "words" },
    { update: "rollback_completed", shown: "rolled-back", said: "words" },
    { update: "rollback_paused", shown: "rolled-back", said: "words" },
  ])("shows the update $update as $shown, with words that say more", async ({ update, shown, said }) => {
    answerReads({ ...row, status: { ...row.status, update, message: "words" } }, []);
    const look = await found(target.look("shop_web"));
    expect([look.update, look.message]).toEqual([shown, said]);
  });

  it.each([
    { state: "rejected", error: "No such image: acme/web:INT", shown: "failed", environment: true },
    { state: "rejected", error: "invalid mount config", shown: "failed", environment: true },
    {
      state: "pending",
      error: "no suitable node (unsupported platform on 1 node)",
      shown: "starting",
      environment: true,
    },
    { state: "orphaned", error: null, shown: "failed", environment: true },
    { state: "failed", error: "task: non-zero exit (1)", shown: "failed", environment: undefined },
    { state: "preparing", error: null, shown: "starting", environment: undefined },
    { state: "shutdown", error: null, shown: "running", environment: undefined },
  ])("shows a task that is $state ($error) as $shown", async ({ state, error, shown, environment }) => {
    answerReads(row, [{ ...task, state, status: { error } }]);
    const [shownTask] = (await found(target.look("shop_web"))).tasks;
    expect(shownTask?.state).toBe(shown);
    expect(shownTask?.error).toBe(error ?? undefined);
    expect(shownTask?.environment).toBe(environment);
  });

  it("has words for a task that ended without an error", async () => {
    answerReads(row, [{ ...task, state: "complete", desiredState: "shutdown" }]);
    expect((await found(target.look("shop_web"))).tasks).toMatchObject([
      { state: "failed", desired: false, error: "the task ended by itself with exit code 0" },
    ]);
  });

  it("wants a task that waits to be started", async () => {
    answerReads(row, [{ ...task, state: "ready", desiredState: "ready" }]);
    expect((await found(target.look("shop_web"))).tasks).toMatchObject([
      { state: "starting", desired: true },
    ]);
  });

  it("still wants a global service's task that failed and is not restarted", async () => {
    const global = { ...row, replicas: null, status: { ...row.status, tasks: { running: 0, total: 0 } } };
    const old = { ...task, id: "old", createdAt: "2026-11-21T23:00:00Z", desiredState: "shutdown" };
    answerReads(global, [old, { ...task, state: "failed", desiredState: "shutdown" }]);
    expect(await target.look("shop_web")).toMatchObject({ wantedTasks: 1 });
  });

  it("takes a global service's wanted tasks from their total, and its slots from the nodes", async () => {
    const global = { ...row, replicas: null, status: { ...row.status, tasks: { running: 1, total: 3 } } };
    answerReads(global, [{ ...task, taskName: "shop_web.0rsgs1ddk95pa8eumwkvxt7xa" }]);
    const look = await found(target.look("shop_web"));
    expect(look.wantedTasks).toBe(3);
    expect(look.tasks[0]?.slot).toBe("0rsgs1ddk95pa8eumwkvxt7xa");
  });

  it("never takes an unknown number of wanted tasks for none", async () => {
    answerReads({ ...row, replicas: null, status: null }, []);
    await expect(target.look("shop_web")).rejects.toMatchObject({ code: "TARGET_UNAVAILABLE" });
  });

  it("finds nothing where the service is gone", async () => {
    const missing = plain(404, `{"error":"service shop_web not found"}`);
    swarmpit.fail("read", missing);
    swarmpit.fail("read", missing);
    expect(await target.look("shop_web")).toBeUndefined();
  });
});

describe("the configuration", () => {
  const valid = { name: "prod", kind: "swarmpit", url: "https://swarmpit.acme.io/api", token: template("T") };
  it.each([
    { name: "the address and /api", change: {} },
    { name: "a slash at the end", change: { url: "https://swarmpit.acme.io/api/" } },
    { name: "a proxy's path", change: { url: "http://10.0.0.5:888/swarmpit/api" } },
    {
      name: "headers for a proxy",
      change: { headers: { "CF-Access-Client-Id": template("ID") }, mode: "observe" },
    },
  ])("takes $name", ({ change: changed }) => {
    expect(SwarmpitConfig.safeParse({ ...valid, ...changed }).success).toBe(true);
  });
  it.each([
    { name: "an address without /api", change: { url: "https://swarmpit.acme.io" } },
    { name: "no address", change: { url: "swarmpit" } },
    { name: "another scheme", change: { url: "ftp://swarmpit.acme.io/api" } },
    { name: "a query", change: { url: "https://swarmpit.acme.io/api?x=1" } },
    { name: "a password in the address", change: { url: "https://me:secret@swarmpit.acme.io/api" } },
    { name: "no token", change: { token: "" } },
    { name: "a second Authorization", change: { headers: { Authorization: "Basic x" } } },
    { name: "a header that is none", change: { headers: { "a b": "x" } } },
    { name: "an unknown key", change: { tokn: "x" } },
  ])("refuses $name", ({ change: changed }) => {
    expect(SwarmpitConfig.safeParse({ ...valid, ...changed }).success).toBe(false);
  });
});

function template(name: string): string {
  return `\${${name}}`;
}

function config(url: string): SwarmpitConfig {
  return SwarmpitConfig.parse({ name: "prod", kind: "swarmpit", url, token: template("TOKEN") });
}

function targetAt(url: string, token: string): Target {
  return create(config(url), { secret: () => () => token, pullCredentials: () => undefined });
}

/** The next reads get these bodies, one each. */
function answerReads(...bodies: readonly unknown[]): void {
  for (const body of bodies) swarmpit.fail("read", plain(200, JSON.stringify(body)));
}

function plain(status: number, body?: string): SwarmpitFault {
  return { kind: "answer", status, ...(body === undefined ? {} : { body }) };
}

function marked(status: number, body: string): SwarmpitFault {
  return { kind: "answer", status, body, marked: true };
}

function withImage(image: string, tag: string, imageDigest: string | null) {
  const name = image.slice(0, image.length - tag.length).replace(/:$/, "");
  return { ...row, repository: { name, tag, image, imageDigest } };
}

function workload(): Workload {
  return {
    id: "prod/shop_web",
    target: "prod",
    name: "shop_web",
    version: "3240",
    containers: [
      {
        name: "shop_web",
        image: `acme/web:INT@${older}`,
        reference: { repository: "docker.io/acme/web", tag: "INT", digest: older },
      },
    ],
    settings: {},
    misplacedSettings: [],
    fence: 0,
    raw: { id: row.id, repository: row.repository },
  };
}

function change() {
  return { seq: 1, images: { shop_web: { repository: "docker.io/acme/web", tag: "INT", digest } } } as const;
}

async function found<T>(promise: Promise<T | undefined>): Promise<T> {
  const value = await promise;
  if (value === undefined) throw new Error("the service is not there");
  return value;
}
