import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { FaultKind } from "../../functions/local/sandbox/registry/faults.ts";
import type { Digest } from "../../shared/domain/reference.ts";
import { type Matrix, matrix } from "./world.ts";

let world: Matrix;
let first: Digest;

beforeEach(async () => {
  world = await matrix();
  first = world.push();
  await world.place().create("web", world.image(first), { tasks: 2 });
});
afterEach(() => world.close());

const heads = () => world.toRegistry.passed.filter((call) => call.startsWith("HEAD")).length;

interface Trouble {
  readonly name: string;
  readonly does: FaultKind | "refuse";
  readonly outcome: "registry-unavailable" | "registry-denied" | "registry-response";
  /** What is on record of it, and told. */
  readonly words: string;
  /** Default: asked twice by the invocation that heard of it, then again 60 s after the second answer. */
  readonly looks?: number;
  readonly againMs?: number;
}

const status = (code: number, headers: Readonly<Record<string, string>> = {}): FaultKind => ({
  kind: "status",
  status: code,
  headers,
});

const troubles: readonly Trouble[] = [
  {
    name: "refuses connections",
    does: "refuse",
    outcome: "registry-unavailable",
    words: "ECONNREFUSED",
  },
  {
    name: "never answers",
    does: { kind: "hang" },
    outcome: "registry-unavailable",
    words: "no answer within 10000 ms",
    looks: 0,
    againMs: 10_000,
  },
  {
    name: "answers a byte at a time",
    does: { kind: "slow-drip", everyMs: 5 },
    outcome: "registry-unavailable",
    words: "no answer within 10000 ms",
    looks: 0,
    againMs: 10_000,
  },
  {
    name: "drops the connection",
    does: { kind: "reset" },
    outcome: "registry-unavailable",
    words: "HEAD acme/web:v1: other side closed",
  },
  {
    name: "breaks off within its answer",
    does: { kind: "half-body" },
    outcome: "registry-unavailable",
    words: "HEAD acme/web:v1: ",
  },
  {
    name: "speaks something else than HTTP",
    does: { kind: "not-http" },
    outcome: "registry-unavailable",
    words: "HEAD acme/web:v1: ",
  },
  { name: "answers 500", does: status(500), outcome: "registry-unavailable", words: "answered 500" },
  {
    name: "answers 503 with a time to come back",
    does: status(503, { "retry-after": "90" }),
    outcome: "registry-unavailable",
    words: "answered 503",
    looks: 0,
    againMs: 90_000,
  },
  {
    name: "answers 429 with Retry-After in seconds",
    does: status(429, { "retry-after": "120" }),
    outcome: "registry-unavailable",
    words: "answered 429",
    looks: 0,
    againMs: 120_000,
  },
  {
    name: "answers 429 with Retry-After as a date",
    does: status(429, { "retry-after": new Date(Date.UTC(2026, 0, 5, 12, 15, 5)).toUTCString() }),
    outcome: "registry-unavailable",
    words: "answered 429",
    looks: 0,
    againMs: 900_000,
  },
  {
    name: "answers 429 without a time to come back",
    does: status(429),
    outcome: "registry-unavailable",
    words: "answered 429",
    looks: 0,
    againMs: 30_000,
  },
  {
    name: "refuses the credentials",
    does: status(401),
    outcome: "registry-denied",
    words: "no way to log in that Landfall knows",
  },
  { name: "refuses the account", does: status(403), outcome: "registry-denied", words: "answered 403" },
  {
    name: "answers a web page",
    does: { kind: "garbage" },
    outcome: "registry-response",
    words: "something that is no manifest Landfall knows: text/html",
  },
];

describe.each(troubles)("a registry that $name", ({ does, outcome, words, looks = 1, againMs = 60_000 }) => {
  it("makes a push wait, deploys nothing by guess, and loses nothing", async () => {
    const second = world.push();
    const end = await begin(does);
    await world.hear("pushed");

    expect(world.deliveries).toEqual(["ack"]);
    const event = await world.event("pushed");
    expect(event).toMatchObject({ state: "waiting", outcome, looks, verdicts: [] });
    expect(event.detail).toContain(words);
    expect((event.dueMs ?? 0) - world.clock.now()).toBe(againMs);
    const text = await world.explain();
    expect(text).toContain("The registry: nothing is known of v1 yet.");
    expect(text).toContain(`${outcome}: `);
    expect(text).toContain(words);
    expect(text).toMatch(
      againMs < 60_000 ? `looked at again in ${againMs / 1_000} s` : /looked at again in \d+ min/,
    );

    await end();
    await world.pass(againMs - 1);
    await world.sweep();
    expect(world.place().way.passed).toEqual([]);
    expect(await world.place().writes()).toEqual([]);

    await world.pass(1);
    await world.sweep();
    await world.carryOn();
    expect(await world.place().writes()).toEqual([world.image(second)]);
    expect(await world.place().running()).toEqual([world.image(second), world.image(second)]);
    expect(await world.history("swarm/web")).toEqual(["succeeded: 2 of 2 tasks ran for 15 s"]);
    expect(await world.event("pushed")).toMatchObject({
      state: "done",
      outcome: "observed",
      digest: second,
      verdicts: [{ workload: "swarm/web", kind: "planned", seq: 1 }],
    });
  });
});

async function begin(does: Trouble["does"]): Promise<() => unknown> {
  if (does !== "refuse") return world.toRegistry.faults.switchOn({ does });
  await world.toRegistry.refuse();
  return world.toRegistry.admit;
}

describe("a registry that is in trouble once the tag is known", () => {
  it("makes the workload wait whose platforms cannot be compared, and no other one", async () => {
    const platforms = [{ OS: "linux", Architecture: "amd64" }];
    await world.place().create("bound", world.image(first), { platforms });
    const second = world.push();
    const end = world.toRegistry.faults.switchOn({
      does: status(503, { "retry-after": "90" }),
      when: ({ method }) => method === "GET",
    });
    await world.hear("pushed");
    expect(await world.place().writes()).toEqual([world.image(second)]);
    const event = await world.event("pushed");
    expect(event).toMatchObject({ state: "waiting", outcome: "registry-unavailable" });
    expect((event.dueMs ?? 0) - event.heardMs).toBe(90_000);
    expect(await world.explain()).toMatch(
      /swarm\/bound +registry-unavailable +Waits: The registry could not be asked\..*answered 503/,
    );
    end();
    await world.carryOn();
    expect(await world.place().writes()).toEqual([world.image(second), world.image(second)]);
    expect((await world.event("pushed")).verdicts).toMatchObject([
      { workload: "swarm/web", kind: "planned" },
      { workload: "swarm/bound", kind: "planned" },
    ]);
  });
});

describe("a registry that is in trouble for long", () => {
  it("is asked less and less often, and given up after a day, with an alert", async () => {
    world.push();
    world.toRegistry.faults.switchOn({ does: status(500) });
    await world.hear("pushed");
    const pauses: number[] = [];
    while ((await world.event("pushed")).state === "waiting") {
      const pauseMs = ((await world.event("pushed")).dueMs ?? 0) - world.clock.now();
      pauses.push(pauseMs);
      await world.pass(pauseMs);
      await world.sweep();
    }
    expect(pauses.slice(0, 4)).toEqual([60_000, 300_000, 900_000, 900_000]);
    expect(pauses.reduce((sum, each) => sum + each)).toBeGreaterThan(23.9 * 3_600_000);
    expect(await world.event("pushed")).toMatchObject({ state: "done", outcome: "registry-unavailable" });
    expect(world.told.filter(({ severity }) => severity === "alert").map(({ message }) => message)).toEqual([
      expect.stringMatching(/answered 500 to HEAD acme\/web:v1: given up$/),
    ]);
    expect(await world.place().writes()).toEqual([]);
  });

  it("does not stop pushes of another registry's image", async () => {
    world.toRegistry.faults.switchOn({ does: status(500), when: ({ path }) => path.includes("/acme/web/") });
    await world.hear("troubled");
    const other = world.registry.push("acme/api", "v1");
    await world.place().create("api", `${world.registry.host}/acme/api:v1@${first}`);
    await world.hear("healthy", { repository: "acme/api" });
    expect(await world.event("troubled")).toMatchObject({
      state: "waiting",
      outcome: "registry-unavailable",
    });
    expect((await world.workload("swarm/api")).deployed).toEqual({ api: other });
  });
});

describe("a webhook that runs ahead of its registry", () => {
  it("waits for a tag that is not there yet, and looks after 10 s and 60 s", async () => {
    await world.hear("early", { tag: "v2" });
    expect(heads()).toBe(2);
    expect(await world.event("early")).toMatchObject({ state: "waiting", outcome: "missing", looks: 1 });
    expect(await world.explain(`${world.registry.host}/acme/web:v2`)).toMatch(
      /waiting, looked at again in 1 min[\s\S]*missing: The registry does not have the tag/,
    );
    const second = world.push("v2");
    await world.place().create("web2", world.image(first, "v2"));
    await world.pass(60_000);
    await world.sweep();
    await world.carryOn();
    expect(await world.place().writes()).toEqual([world.image(second, "v2")]);
  });

  it("ends when the tag never comes, and says so", async () => {
    await world.hear("early", { tag: "v2" });
    await world.pass(60_000);
    await world.sweep();
    expect(heads()).toBe(3);
    expect(await world.event("early")).toMatchObject({ state: "done", outcome: "missing", looks: 2 });
    expect(world.told.at(-1)).toMatchObject({ severity: "alert", message: expect.stringContaining("v2") });
  });

  it.each([
    { name: "within 10 s", afterMs: 5_000, looks: 1 },
    { name: "within 60 s more", afterMs: 30_000, looks: 2 },
  ])("rolls out what the registry names $name, once", async ({ afterMs, looks }) => {
    await world.hear("known", { digest: first });
    await world.carryOn();
    const asked = heads();
    await world.publish("ahead");
    await world.pass(afterMs);
    expect(await world.event("ahead")).toMatchObject({ state: "waiting", outcome: "unchanged" });
    expect(await world.explain()).toMatch(/unchanged: The registry still named the digest known before/);
    const second = world.push();
    await world.rest();
    await world.carryOn();
    expect(await world.event("ahead")).toMatchObject({ state: "done", digest: second, looks });
    expect(heads() - asked).toBe(looks + 1);
    expect(await world.place().writes()).toEqual([world.image(second)]);
  });

  it("asks three times for a push that changed nothing and names no digest, and touches nothing", async () => {
    await world.hear("known", { digest: first });
    expect(heads()).toBe(1);
    await world.hear("again");
    await world.carryOn();
    expect(heads()).toBe(4);
    expect(await world.event("again")).toMatchObject({
      state: "done",
      outcome: "unchanged",
      verdicts: [{ kind: "skipped", reason: "already-running" }],
    });
    expect(await world.place().writes()).toEqual([]);
  });

  it("asks once for a push whose digest is the one that runs", async () => {
    await world.hear("known", { digest: first });
    await world.hear("again", { digest: first });
    expect(heads()).toBe(2);
    expect(await world.event("again")).toMatchObject({ state: "done", outcome: "observed" });
    expect(await world.place().writes()).toEqual([]);
  });
});
