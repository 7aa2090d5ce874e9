import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runCli } from "../../functions/cli/main.ts";
import type { OrderMessage } from "../../shared/bus/bus.ts";
import { inlineBus } from "../../shared/bus/inline.ts";
import { systemClock } from "../../shared/clock.ts";
import { newBudget } from "../../shared/flows/deps.ts";
import { sweep } from "../../shared/flows/sweep.ts";
import { embeddedLedger } from "../../shared/ledger/embedded.ts";
import { channelRule, imageWorld, repository } from "../flows/image-world.ts";
import { digestOf, type World, world } from "../flows/world.ts";

let folder: string;
let store: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "landfall-orders-"));
  store = join(folder, "bus.db");
  await embeddedLedger(store, systemClock).close();
});
afterEach(() => rm(folder, { recursive: true }));

/** Messages that commands have published since the last time. */
async function published(): Promise<readonly OrderMessage[]> {
  const bus = inlineBus({ store, clock: systemClock });
  const heard: OrderMessage[] = [];
  const delivering = bus.deliver(async ({ message }) => {
    heard.push(JSON.parse(Buffer.from(message.data, "base64").toString("utf8")));
    return "ack";
  });
  await delivering.idle();
  await bus.close();
  return heard;
}

/** Runs a command line beside a Landfall that takes what is published whenever the command waits. */
async function landfall(here: World, line: string) {
  const printed = await runCli(line.match(/'[^']*'|\S+/g)?.map((word) => word.replace(/'/g, "")) ?? [], {
    env: { LANDFALL_LEDGER: `file:${store}` },
    clock: {
      ...here.clock,
      sleep: async (ms) => {
        here.clock.set(here.clock.now() + ms);
        const deps = here.instance();
        here.undelivered.push(...(await published()));
        // Not until nothing is left to do: a pause may be.
        for (let minute = 0; minute < 4; minute++) {
          for (const message of here.undelivered.splice(0)) await here.deliver(message, deps, true);
          here.clock.set(here.clock.now() + 60_000);
          await sweep(deps, newBudget(here.clock));
        }
      },
    },
    progress: () => {},
    openLedger: async () => ({ ...here.ledger, close: async () => {} }),
  });
  return { ...printed, text: printed.out + printed.err, json: () => JSON.parse(printed.out) };
}

async function deployed(here: World, ...letters: readonly string[]): Promise<void> {
  for (const letter of letters) {
    here.push(letter);
    await here.deliver(here.hear(`push-${letter}`, letter), here.instance());
    await here.settle();
  }
}

const short = (letter: string) => digestOf(letter).slice(7, 19);
const runs = (here: World, name = "web") =>
  ["a", "b", "c", "d"].find((each) => here.target.imageOf(name)?.endsWith(digestOf(each)));

describe("an order on the command line", () => {
  it.each<[line: string, order: object]>([
    [
      "rollback web --reason 'slow checkout'",
      { do: "rollback", until: "next", seen: 2, reason: "slow checkout" },
    ],
    ["rollback swarm/web --until release", { do: "rollback", until: "release" }],
    ["deploy acme/web:v1 web", { do: "deploy", image: repository, tag: "v1", until: "next" }],
    ["deploy web:v1 web --until release", { do: "deploy", image: repository, until: "release" }],
    ["hold web", { do: "hold", image: repository, digest: digestOf("c") }],
    [`hold web ${short("b")}`, { do: "hold", digest: digestOf("b") }],
    [
      `hold acme/web@${short("b")} --reason bad`,
      { do: "hold", workload: undefined, digest: digestOf("b"), reason: "bad" },
    ],
    [
      `hold ghcr.io/other/one@${digestOf("x")}`,
      { do: "hold", image: "ghcr.io/other/one", workload: undefined },
    ],
    ["release web", { do: "release" }],
    [`release web ${short("b")}`, { do: "release", digest: digestOf("b") }],
    [`release acme/web@${digestOf("b")}`, { do: "release", image: repository, workload: undefined }],
    ["pause web --for 2h", { do: "pause", untilMs: expect.closeTo(Date.UTC(2026, 0, 5, 14), -6) }],
    ["pause web --until 2027-01-01T06:00+01:00", { do: "pause", untilMs: Date.UTC(2027, 0, 1, 5) }],
    ["pause swarm/unmet", { do: "pause", workload: "swarm/unmet" }],
    ["resume web", { do: "resume" }],
    ["replay push-b", { do: "replay", of: "push-b", workload: undefined }],
  ])("is published as it is meant, with who gave it: %s", async (line, order) => {
    const here = world();
    await deployed(here, "b", "c");
    const { code, out } = await landfall(here, line);
    const [message, ...others] = await published();
    expect([code, others]).toEqual([0, []]);
    expect(message).toMatchObject({ kind: "order", by: expect.stringMatching(/^[^@]+@[^@]+$/) });
    expect({ workload: "swarm/web", ...message?.order }).toMatchObject(
      "workload" in order && order.workload === undefined
        ? withoutWorkload(order)
        : { workload: "swarm/web", ...order },
    );
    expect(out).toContain(`landfall explain ${message?.event}`);
  });

  it.each<[line: string, code: number, says: string]>([
    ["rollback", 2, "which workload"],
    ["rollback wbe", 1, "Did you mean `swarm/web`?"],
    ["rollback swram/web", 1, "Did you mean `swarm/web`?"],
    ["rollback swarm/unmet", 1, "landfall deploy IMAGE:TAG"],
    ["rollback web --channel", 1, "on no channel"],
    ["rollback web --until morning", 2, "--until takes"],
    ["rollback web --reason ''", 2, "--reason"],
    ["rollback web --timeout soon", 2, "--timeout"],
    ["deploy", 2, "which image"],
    ["deploy acme/web web", 2, "has no tag"],
    ["deploy acme/web@sha256:0 web", 2, "by its tag"],
    ["deploy UPPER/Case:v1", 2, "is no image"],
    ["deploy acme/other:v1", 1, "No workload on record runs docker.io/acme/other"],
    ["deploy acme/web:v1 web wbe", 1, "Did you mean `swarm/web`?"],
    ["hold", 2, "what to hold"],
    ["hold web zzz", 2, "is no digest"],
    ["hold web 0123456789", 1, "write it whole"],
    [`hold acme/web@${digestOf("b")} ${digestOf("b")}`, 2, "what to hold"],
    ["release", 2, "what to release"],
    ["release wbe", 1, "Did you mean `swarm/web`?"],
    ["pause", 2, "which workload"],
    ["pause web --for soon", 2, "--for needs"],
    ["pause web --for 1h --until 2027-01-01T06:00Z", 2, "not both"],
    ["pause web --until 06:00", 2, "with its zone"],
    ["pause web --until 2020-01-01T06:00Z", 2, "is over already"],
    ["resume", 2, "which workload"],
    ["replay", 2, "which event"],
    ["replay nothing", 1, "landfall ledger"],
  ])("that cannot be meant is not published: `%s` exits with %i", async (line, code, says) => {
    const here = world();
    await deployed(here, "b");
    const { code: got, err } = await landfall(here, line);
    expect([got, err, await published()]).toEqual([code, expect.stringContaining(says), []]);
  });

  it.each(["deploy", "rollback", "hold", "release", "pause", "resume", "replay"])(
    "is taught by examples that are right: %s",
    async (name) => {
      const here = world({ workloads: { "prod/web": `acme/web:v1@${digestOf("a")}` } });
      await deployed(here, "b");
      const help = (await landfall(here, `${name} --help`)).out;
      const examples = [...help.matchAll(/^ {2}landfall (.*?) {2}/gm)].map(([, line]) => line ?? "");
      expect(examples.length).toBeGreaterThan(1);
      for (const example of examples) {
        const { err, code } = await landfall(here, `${example.replace("--wait", "")} --dry-run`);
        // What an example names is not on record here.
        expect(err.replace(/^(No (event|digest)|\S+ is on no channel).*\n/, "")).toBe("");
        expect(code).toBeLessThan(2);
      }
    },
  );

  it("goes to every workload on record that runs the image, when none is named", async () => {
    const here = world({
      workloads: {
        web: `acme/web:v1@${digestOf("a")}`,
        api: `acme/web:v1@${digestOf("a")}`,
        db: `acme/db:v1@${digestOf("a")}`,
      },
    });
    await deployed(here, "b");
    here.registry.push(repository, "v2", digestOf("c"));
    const { code, out } = await landfall(here, "deploy acme/web:v2 --wait");
    expect(code).toBe(0);
    expect(out).toMatch(/swarm\/api +docker.*\n +swarm\/web +docker/);
    expect([runs(here, "web"), runs(here, "api"), runs(here, "db")]).toEqual(["c", "c", "a"]);
  });
});

function withoutWorkload(order: object): object {
  const { workload: _, ...rest } = order as { workload: undefined };
  return rest;
}

describe("--dry-run", () => {
  it.each<[line: string, says: RegExp]>([
    ["rollback web", new RegExp(`web:v1@${short("c")} -> docker.io/acme/web:v1@${short("b")}`)],
    ["rollback web", /pinned +until something newer/],
    ["deploy acme/web:v1 web", /swarm\/web +runs that already/],
    ["deploy acme/web:v9 web", /what v9 points to when the order is taken/],
    ["hold web", /swarm\/web runs it and is left running/],
    ["release web", /lifts +nothing/],
    ["pause web --for 90m", /until +2026-01-05 \S+Z, in 1 h/],
    ["resume web", /nothing: it is not paused/],
    ["replay push-b", /push +docker.io\/acme\/web:v1/],
  ])("shows from the ledger alone what would be done, and does nothing: %s", async (line, says) => {
    const here = world();
    await deployed(here, "b", "c");
    const calls = here.target.calls();
    const { code, out } = await landfall(here, `${line} --dry-run`);
    expect([code, out, await published()]).toEqual([0, expect.stringMatching(says), []]);
    expect(here.target.calls()).toBe(calls);
  });

  it.each(["release web", "resume web"])("ends with 3 where there is nothing to do: %s", async (line) => {
    const here = world();
    await deployed(here, "b");
    expect((await landfall(here, `${line} --dry-run --detailed-exitcode`)).code).toBe(3);
  });

  it("gives the change as data", async () => {
    const here = world();
    await deployed(here, "b", "c");
    expect((await landfall(here, "rollback web --dry-run --json")).json()).toMatchObject({
      published: false,
      preview: [
        { workload: "swarm/web", from: { web: digestOf("c") }, to: { web: digestOf("b") }, pin: "next" },
      ],
      message: { kind: "order", order: { do: "rollback", workload: "swarm/web" } },
    });
  });
});

describe("--wait", () => {
  it("follows a rollback to its end", async () => {
    const here = world();
    await deployed(here, "b", "c");
    const { code, out } = await landfall(here, "rollback web --wait");
    expect([code, runs(here)]).toEqual([0, "b"]);
    expect(out).toMatch(/rollout 3 succeeded.*\nAll is over/);
  });

  it("ends with 1 when the rollout failed, and when the order was refused", async () => {
    const here = world();
    await deployed(here, "b");
    here.registry.push(repository, "v2", digestOf("X"));
    const failed = await landfall(here, "deploy acme/web:v2 web --wait");
    expect([failed.code, failed.err]).toEqual([1, expect.stringMatching(/rollout 2 rolled-back/)]);
    expect(runs(here)).toBe("b");
    const refused = await landfall(here, "deploy acme/web:v9 web --wait");
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining("is not in the registry")]);
  });

  it("ends with 3 on demand when it was so already", async () => {
    const here = world();
    await deployed(here, "b");
    expect((await landfall(here, "resume web --wait")).code).toBe(0);
    expect((await landfall(here, "resume web --wait --detailed-exitcode")).code).toBe(3);
  });

  it("follows what a release or the end of a pause has deployed, and does not wait for nothing", async () => {
    const here = world();
    await deployed(here, "b", "c");
    await landfall(here, "pause web --wait");
    here.push("d");
    await here.deliver(here.hear("push-d", "d"), here.instance());
    const resumed = await landfall(here, "resume web --wait");
    expect([resumed.code, resumed.out, runs(here)]).toEqual([
      0,
      expect.stringMatching(/rollout 3 succeeded/),
      "d",
    ]);
    await landfall(here, "rollback web --wait");
    const released = await landfall(here, "release web --wait");
    expect([released.code, released.out]).toEqual([0, expect.stringMatching(/rollout 5 succeeded/)]);
    here.push("X");
    await landfall(here, "pause web --wait");
    await here.deliver(here.hear("push-X", "X"), here.instance());
    const bad = await landfall(here, "resume web --wait");
    expect([bad.code, bad.err]).toEqual([1, expect.stringMatching(/rollout 6 rolled-back/)]);
    await landfall(here, "hold web --wait");
    const nothing = await landfall(here, `release web ${short("d")} --wait --timeout 10m`);
    expect([nothing.code, nothing.out]).toEqual([0, expect.stringContaining("All is over")]);
  });

  it("follows a replay to what it comes to", async () => {
    const here = world();
    here.push("b");
    await here.deliver(here.hear("push-b", "b"), here.instance());
    await here.settle();
    const { code, out } = await landfall(here, "replay push-b --wait");
    expect([code, out]).toEqual([0, expect.stringContaining("It already runs this digest.")]);
  });
});

describe("what stands for a workload", () => {
  it("is told with who, why, until when, and the command that ends it", async () => {
    const here = world();
    await deployed(here, "b", "c");
    await landfall(here, "rollback web --wait --reason 'slow checkout'");
    await landfall(here, `hold web ${short("c")} --wait --reason leaks`);
    await landfall(here, `hold acme/web@${short("b")} --wait`);
    await landfall(here, "pause web --for 2h --wait --reason inventory");
    const { out } = await landfall(here, "status");
    expect(out).toMatch(/swarm\/web +succeeded .*pinned; paused; held: /);
    expect(out).toMatch(/pinned +by \S+ .* by a rollback, until something newer comes: slow checkout/);
    expect(out).toMatch(/paused +by \S+ .*, until 2026-01-05 \S+Z \(in 1 h\): inventory/);
    expect(out).toMatch(new RegExp(`held +${short("c")} by .*: leaks`));
    expect(out).toMatch(new RegExp(`held +everywhere: ${short("b")} by`));
    for (const next of [
      "landfall release swarm/web`",
      "landfall resume swarm/web`",
      `landfall release swarm/web ${short("c")}\``,
      `landfall release docker.io/acme/web@${short("b")}\``,
    ]) {
      expect(out).toContain(next);
    }
    expect(out).toContain("1 workload, 0 rolling out, 0 failed, 1 pinned, 1 paused, 1 with a held digest.");
    expect((await landfall(here, "explain web")).out).toContain("landfall resume swarm/web`");
  });

  it("is told of a rollback by Landfall: what was wrong, and what it went back to", async () => {
    const here = world();
    await deployed(here, "b", "X");
    const { out } = await landfall(here, "status web");
    expect(out).toMatch(/swarm\/web +rolled-back +docker.io\/acme\/web:v1/);
    expect(out).toMatch(
      new RegExp(
        `it went back to docker.io/acme/web:v1@${short("b")} by rollout 3; rollout 2 to .*${short("X")} failed, blamed on the image: `,
      ),
    );
    expect(out).toMatch(new RegExp(`held +${short("X")} by Landfall`));
    expect(out).toContain("1 rolled back");
  });

  it("is told when its channel still names what it was brought away from", async () => {
    const workloads = { web: `acme/web:prod@${digestOf("m1")}` };
    const here = imageWorld({ channels: [channelRule("prod")], workloads });
    for (const name of ["m2", "m3"]) {
      await here.built(name);
      await here.settle();
    }
    await landfall(here, "rollback web --wait");
    const { out } = await landfall(here, "status");
    expect(out).toContain(`docker.io/acme/web:prod still names ${short("m3")}, and this runs ${short("m2")}`);
    expect((await landfall(here, "rollback web --channel --dry-run")).out).toContain("stays at");
    await landfall(here, "rollback web --channel --wait");
    expect([here.at("prod"), here.runs()]).toEqual(["m2", "m2, replaced 3 times"]);
    expect((await landfall(here, "status")).out).not.toContain("still names");
  });

  it("is in the list of builds", async () => {
    const workloads = { web: `acme/web:prod@${digestOf("m1")}` };
    const here = imageWorld({ channels: [channelRule("prod")], workloads });
    await here.built("m2");
    await here.settle();
    await landfall(here, "hold web --wait");
    await landfall(here, `hold acme/web@${short("m2")} --wait --reason 'bad migration'`);
    const { out } = await landfall(here, "list acme/web");
    expect(out).toMatch(/\(held: everywhere, swarm\/web\)/);
    expect(out).toMatch(/\(held\) .*: bad migration; `landfall release/);
  });
});

describe("landfall accept", () => {
  it("makes a build that was held back the head, after a look at what that means", async () => {
    const workloads = { web: `acme/web:prod@${digestOf("m1")}` };
    const here = imageWorld({ channels: [channelRule("prod")], workloads });
    for (const name of ["m3", "s"]) {
      await here.built(name);
      await here.settle();
    }
    const line = `accept web:${here.id("s")}`;
    const { out } = await landfall(here, `${line} --dry-run`);
    expect(out).toContain(`${here.id("m3").slice(0, 12)}@${short("m3")} -> ${here.id("s").slice(0, 12)}@`);
    expect(out).toMatch(/judged anew +1 held back/);
    const { code } = await landfall(here, `${line} --wait --reason rewritten`);
    expect([code, here.at("prod"), here.runs().slice(0, 1)]).toEqual([0, "s", "s"]);
    expect((await landfall(here, "ledger --limit 40")).out).toMatch(
      / accept +done +\S+ +ordered by \S+: rewritten/,
    );
    expect((await landfall(here, `${line} --dry-run --detailed-exitcode`)).code).toBe(3);
  });

  it.each<[line: string, code: number, says: string]>([
    ["accept", 2, "which build"],
    ["accept acme/web", 2, "has no tag"],
    ["accept UPPER/Case:x", 2, "is no image"],
    ["accept acme/web:nothing", 1, "landfall list docker.io/acme/web"],
    ["accept acme/other:v1", 1, "landfall status"],
  ])("is not published when it cannot be meant: `%s` exits with %i", async (line, code, says) => {
    const here = imageWorld();
    await here.built("m1");
    await here.settle();
    const { code: got, err } = await landfall(here, line);
    expect([got, err, await published()]).toEqual([code, expect.stringContaining(says), []]);
  });
});

describe("an order on record", () => {
  it("is shown with who gave it and why", async () => {
    const here = world();
    await deployed(here, "b", "c");
    await landfall(here, "rollback web --wait --reason 'slow checkout'");
    await landfall(here, `hold acme/web@${short("c")} --wait`);
    const { out } = await landfall(here, "ledger");
    expect(out).toMatch(
      / rollback +done +swarm\/web +ordered by \S+: slow checkout: 1 of 1 planned +rollback-/,
    );
    expect(out).toMatch(new RegExp(` hold +done +docker.io/acme/web@${short("c")} +ordered by`));
    expect((await landfall(here, "ledger --workload web")).out).toContain("slow checkout");
    const event = /rollback-[0-9a-f-]{36}/.exec(out)?.[0];
    const told = (await landfall(here, `explain ${event}`)).out;
    expect(told).toMatch(/swarm\/web: \S+ ordered rollback: slow checkout/);
    expect(told).toMatch(/outcome +ordered: The order was taken/);
    expect(told).toContain("rollout 3: succeeded");
  });
});

describe("landfall rollback --channel", () => {
  it("says who else is on the channel, and moves it back", async () => {
    const web = `acme/web:prod@${digestOf("m1")}`;
    const here = imageWorld({ channels: [channelRule("prod")], workloads: { web, api: web } });
    for (const name of ["m2", "m3"]) {
      await here.built(name);
      await here.settle();
    }
    const without = await landfall(here, "rollback web --dry-run");
    expect(without.out).toContain(
      "The channel docker.io/acme/web:prod stays where it is; --channel moves it back",
    );
    const { code, out } = await landfall(here, "rollback web --channel --wait");
    expect([code, here.at("prod"), here.runs("api")]).toEqual([0, "m2", "m2, replaced 3 times"]);
    expect(out).toContain(
      "On docker.io/acme/web:prod too, and brought back with it unless pinned: swarm/api.",
    );
  });
});
