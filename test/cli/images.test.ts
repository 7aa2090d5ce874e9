import { afterEach, describe, expect, it } from "vitest";
import { runCli } from "../../functions/cli/main.ts";
import { type Outcome, outcomes } from "../../shared/domain/outcomes.ts";
import type { Repository } from "../../shared/domain/reference.ts";
import type { Channel } from "../../shared/ledger/image-document.ts";
import type { EventDocument, Ledger } from "../../shared/ledger/ledger.ts";
import { channelRule, type ImageWorld, imageWorld } from "../flows/image-world.ts";
import { digestOf } from "../flows/world.ts";
import {
  buildEvent,
  built,
  type Content,
  channel,
  commit,
  digest,
  event,
  image,
  ledgerOf,
  push,
  rollout,
  startMs,
  web,
  workload,
} from "./record.ts";

const nowMs = startMs + 180_000;

async function cli(line: string, content: Content) {
  const printed = await runCli(line.split(" "), {
    env: {},
    clock: { now: () => nowMs, monotonic: () => 0, sleep: async () => {} },
    progress: () => {},
    openLedger: () => ledgerOf(content),
  });
  return { ...printed, json: () => JSON.parse(printed.out) };
}

/** A person's order, as it is recorded. */
function order(how: "move" | "adopt" | "restore", change: Partial<EventDocument> = {}): EventDocument {
  const { push: _, digest: _digest, ...rest } = event("prod", [], { outcome: "ordered", ...change });
  return { ...rest, promote: { image: web, channel: "prod", how, by: "ada@acme.io" } };
}

/** An order, a build and its promotion: everything that there is. */
const full: Content = {
  images: [
    image({
      int: channel("c"),
      prod: channel("b", {
        promotedMs: startMs - 86_400_000,
        head: 5,
        soak: { digest: digest("c"), sinceMs: startMs + 120_000 },
      }),
    }),
  ],
  events: {
    "build-c": buildEvent(
      "c",
      "head",
      {
        heardMs: startMs + 20_000,
        verdicts: [
          { workload: "int/web", kind: "planned", seq: 3 },
          { workload: "prod/web", kind: "skipped", reason: "other-tag", detail: "it follows prod" },
        ],
      },
      { buildUrl: "https://ci.acme.io/77" },
    ),
    "build-b": buildEvent("b", "head", { heardMs: startMs - 90_000_000 }),
    "build-a": buildEvent("a", "superseded", {
      heardMs: startMs + 40_000,
      detail: "aaaaaaaaaaaa is an ancestor of cccccccccccc",
    }),
    "promote-1": order("move", { heardMs: startMs - 86_400_000 }),
  },
  workloads: [
    workload("int/web", 3, {
      wanted: {
        web: { repository: web, tag: "int", digest: digest("c"), generation: 3, line: "channel" },
      },
      deployed: { web: digest("c") },
    }),
  ],
  rollouts: [
    rollout("int/web", 3, {
      cause: { kind: "build", event: "build-c" },
      to: { web: { repository: web, tag: "int", digest: digest("c"), generation: 3, line: "channel" } },
    }),
  ],
};

describe("landfall status", () => {
  it("shows each image's head and channels before the workloads", async () => {
    expect((await cli("status", full)).out).toBe(
      [
        "IMAGE               CHANNEL  BUILD         DIGEST        SINCE      NOTE",
        "docker.io/acme/web  (head)   cccccccccccc  cccccccccccc  2 min ago",
        "                    int      cccccccccccc  cccccccccccc  2 min ago",
        "                    prod     bbbbbbbbbbbb  bbbbbbbbbbbb  1 d ago    cccccccccccc soaks on the channel before, since 1 min ago",
        "",
        "WORKLOAD  STATE      IMAGE                   DIGEST        SINCE      NOTE",
        "int/web   succeeded  docker.io/acme/web:int  cccccccccccc  2 min ago",
        "",
        "1 workload, 0 rolling out, 0 failed.",
        "",
      ].join("\n"),
    );
  });

  const prod = (change: Partial<Channel>) => channel("b", change);
  it.each<[name: string, channel: Channel, says: string]>([
    ["has what it is to have", prod({}), ""],
    ["is behind, and moves by hand", prod({ head: 6 }), "the head is newer"],
    [
      "is being moved",
      prod({ intent: { to: built("c"), head: 7, lease: { holder: "x", untilMs: nowMs } } }),
      "is being moved to cccccccccccc",
    ],
    [
      "is to be moved for somebody",
      prod({ head: 6, asked: built("c", { by: "ada" }) }),
      "is to be moved to cccccccccccc for ada",
    ],
    ["was moved by somebody", prod({ promoted: built("b", { by: "ada" }) }), "moved by ada"],
    [
      "cannot be moved",
      prod({
        head: 6,
        asked: built("c"),
        trouble: { reason: "registry-denied", detail: "acme.io answered 403", times: 3 },
      }),
      "is to be moved to cccccccccccc; acme.io answered 403 (registry-denied, 3 times)",
    ],
    [
      "was moved by somebody else",
      prod({ conflict: { found: digest("e"), sinceMs: startMs } }),
      "somebody else moved it to eeeeeeeeeeee 3 min ago: `landfall promote docker.io/acme/web prod --adopt` or `--restore`",
    ],
    [
      "was deleted",
      prod({ conflict: { sinceMs: startMs } }),
      "somebody else deleted it 3 min ago: `landfall promote docker.io/acme/web prod --adopt` or `--restore`",
    ],
    [
      "waits for a proof",
      prod({ head: 6, soak: { digest: digest("c") } }),
      "cccccccccccc is not proven yet on the channel before",
    ],
    [
      "stays for a failure",
      prod({ head: 6, soak: { digest: digest("c"), stopped: "int/web: 1 of 2 tasks run" } }),
      "cccccccccccc was stopped: int/web: 1 of 2 tasks run",
    ],
    ["has workloads that are not looked at yet", prod({ planned: 2 }), "workloads are being looked at"],
  ])("says of a channel what it waits for: it %s", async (_name, prodChannel, says) => {
    const { out } = await cli("status", { images: [image({ prod: prodChannel })] });
    const line = out.split("\n").find((each) => /^ +prod /.test(each)) ?? "";
    expect(line.replace(/^ +prod +b{12} +b{12} +\d min ago */, "")).toBe(says);
  });

  it("shows an image of which nothing is accepted yet, and a channel that nothing was promoted to", async () => {
    const { head: _, ...rest } = image({ prod: { generation: 0, head: 0, planned: 0, unsettled: [] } });
    const { out } = await cli("status", { images: [{ ...rest, builds: [], planned: 0 }] });
    expect(out).toMatch(/\(head\) +- +- +no build is accepted yet\n +prod +- +-\n/);
  });

  it("has head and channels whole as data, and none for one workload", async () => {
    const { images } = (await cli("status --json", full)).json();
    expect(images).toMatchObject([
      { repository: web, head: { commit: commit("c") }, channels: { int: {}, prod: {} } },
    ]);
    expect((await cli("status int/web --json", full)).json()).not.toHaveProperty("images");
  });
});

describe("landfall list", () => {
  it("shows the builds, heard last first, with the head and what each channel has", async () => {
    const { out } = await cli("list acme/web", full);
    expect(out.split("\n\n")[1]).toBe(
      [
        "COMMIT        TAG  DIGEST        HEARD      OUTCOME     NOW",
        "aaaaaaaaaaaa       aaaaaaaaaaaa  2 min ago  superseded",
        "cccccccccccc       cccccccccccc  2 min ago  head        (head) int",
        "bbbbbbbbbbbb       bbbbbbbbbbbb  1 d ago    head        prod",
        "",
      ].join("\n"),
    );
  });

  it("shows what a channel has though no build of it is known, and what is too old to be kept", async () => {
    const adopted = { tag: "prod", digest: digest("e"), event: "promote-9", by: "ada" };
    const { builds } = (
      await cli("list web --json", { images: [image({ prod: channel("b", { promoted: adopted }) })] })
    ).json();
    expect(builds.at(-1)).toEqual({ ...adopted, isHead: false, channels: ["prod"], held: [] });
    expect(builds[1]).toEqual({ ...built("c"), isHead: true, channels: [], held: [] });
  });

  it("shows as many as are asked for, whole as data", async () => {
    const json = (await cli("list docker.io/acme/web --limit 1 --json", full)).json();
    expect(json).toMatchObject({
      image: web,
      head: { digest: digest("c") },
      channels: { prod: { promoted: { digest: digest("b") } } },
      builds: [{ commit: commit("a"), outcome: "superseded", heardMs: startMs + 40_000 }],
    });
    expect(json.builds).toHaveLength(1);
  });

  it("asks which of several images of one name is meant", async () => {
    const other: Repository = "gcr.io/skia/web";
    const both = { images: [image({}), image({}, { repository: other })] };
    expect((await cli("list web", both)).err).toBe(`\`web\` could be:\n  ${web}\n  ${other}\n`);
    expect((await cli("list acme/web --json", both)).json().image).toBe(web);
  });

  it("says what to do where nothing is known", async () => {
    expect((await cli("list acme/wep", full)).out).toContain("Did you mean `acme/web`?");
    expect((await cli("list nginx", full)).out).toContain("`landfall explain nginx` shows pushes");
    expect((await cli("list acme/web:v1", full)).err).toContain("`landfall explain acme/web:v1`");
  });
});

describe("landfall explain", () => {
  it("tells of a build its commit, what git said of it, and where its image is", async () => {
    const { out } = await cli(`explain acme/web:${commit("c")}`, full);
    for (const part of [
      `${web}:${commit("c")} built, on main`,
      "  event    build-c, done",
      `  commit   ${commit("c")}`,
      "  build    https://ci.acme.io/77",
      "  outcome  head: Its commit is newer than every one before it",
      "Rollout 3 was planned.",
      "It runs the same repository, but follows another tag. (it follows prod)",
      "prod     bbbbbbbbbbbb  bbbbbbbbbbbb  1 d ago    cccccccccccc soaks",
    ]) {
      expect(out).toContain(part);
    }
    const old = (await cli("explain build-a", full)).out;
    expect(old).toContain("outcome  superseded: A newer commit of its image had been accepted before.");
    expect(old).toContain("detail   aaaaaaaaaaaa is an ancestor of cccccccccccc");
  });

  it("finds builds of a commit whatever their tags", async () => {
    const tagged = buildEvent("d", "head", {}, { tag: "v1.2.0" });
    const content = { events: { "build-d": tagged, other: buildEvent("e", "head") } };
    const { events, otherTags } = (await cli(`explain web:${commit("d")} --json`, content)).json();
    expect(events.map(({ id }: { id: string }) => id)).toEqual(["build-d"]);
    expect(otherTags.map(({ tag }: { tag: string }) => tag)).toEqual([commit("e")]);
    expect((await cli("explain web:v1.2.0", content)).out).toContain(
      "v1.2.0 built from dddddddddddd, on main",
    );
  });

  it("tells of a channel the pushes and orders that concerned it", async () => {
    const { out } = await cli("explain acme/web:prod", {
      ...full,
      events: {
        "promote-1": order("adopt", { heardMs: startMs + 2_000 }),
        "promote-0": order("move", { outcome: "refused", detail: "somebody else moved it: first say" }),
        pushed: event("prod", [], { push: push("prod"), outcome: "conflict", heardMs: startMs + 1_000 }),
      },
    });
    expect(out).toContain(`${web}:prod: ada@acme.io ordered to adopt what somebody else put there`);
    expect(out).toContain(`${web}:prod: ada@acme.io ordered to move it on`);
    expect(out).toContain("refused: The order cannot be carried out.");
    expect(out).toContain("conflict: Somebody else moved a tag that Landfall owns");
    expect(out.indexOf("adopt what")).toBeLessThan(out.indexOf("pushed by ada"));
  });

  it("tells of a workload which build caused its rollout, and of which commit a channel's digest is", async () => {
    const { out } = await cli("explain int/web", full);
    expect(out).toContain("  to     docker.io/acme/web:int@cccccccccccc, built from cccccccccccc\n");
    expect(out).toContain("  cause  build, event build-c\n");
    const { rollouts } = (await cli("explain int/web --json", full)).json();
    expect(rollouts[0].commits).toEqual({ web: commit("c") });
    const promoted = rollout("int/web", 3, { cause: { kind: "promote", event: "promote-1", by: "ada" } });
    expect((await cli("explain int/web", { ...full, rollouts: [promoted] })).out).toContain(
      "  cause  promote by ada, event promote-1\n",
    );
  });

  it("knows an image by its builds alone", async () => {
    const { code, out } = await cli("explain acme/web --detailed-exitcode", { images: [image({})] });
    expect([code, out.includes("(head)")]).toEqual([0, true]);
    expect((await cli("explain acme/web:v9 --detailed-exitcode", { images: [image({})] })).code).toBe(3);
  });

  it.each(Object.entries(outcomes) as [Outcome, (typeof outcomes)[Outcome]][])(
    "has a sentence, and what to do if there is something, for %s",
    async (outcome, { sentence, next }) => {
      expect(sentence).toMatch(/^[A-Z`].*\.$/);
      expect(next).toMatch(/^$|^[A-Z`].*\.$/);
      const { out } = await cli("explain build-c", { events: { "build-c": buildEvent("c", outcome) } });
      expect(out).toContain(`  outcome  ${outcome}: ${sentence}${next === "" ? "" : ` ${next}`}\n`);
    },
  );
});

describe("landfall ledger", () => {
  it("has builds and orders in its list", async () => {
    const { out } = await cli("ledger", full);
    const lines = out.split("\n").slice(1);
    expect(lines.map((line) => line.split(/ {2,}/).slice(2, 6).join(" | "))).toEqual([
      `build | done | ${web}:${commit("a")} | superseded`,
      `build | done | ${web}:${commit("c")} | head: 1 of 2 planned`,
      expect.stringContaining("rollout 3 | succeeded | int/web"),
      `promote | done | ${web}:prod | ordered`,
      `build | done | ${web}:${commit("b")} | head`,
      "",
    ]);
    expect((await cli("ledger --json", full)).json().events).toHaveLength(4);
  });
});

describe("what Landfall has recorded of builds", () => {
  let here: ImageWorld;
  afterEach(() => here.close());

  async function shown(line: string): Promise<string> {
    const ledger: Ledger = Object.assign(Object.create(here.ledger), { close: async () => {} });
    const { out } = await runCli(line.split(" "), {
      env: {},
      clock: here.clock,
      progress: () => {},
      openLedger: async () => ledger,
    });
    return out;
  }

  it("is shown as it went: out of order, held back, moved by somebody else, and put back by a person", async () => {
    const channels = [channelRule("prod"), channelRule("demo", { byHand: true })];
    here = imageWorld({ channels });
    const short = (name: string) => here.id(name).slice(0, 12);
    for (const name of ["m3", "m1", "s", "m4"]) await here.built(name);
    await here.settle();
    expect((await shown("status")).split("\n").map((line) => line.trim().split(/ {2,}/))).toEqual(
      expect.arrayContaining([
        expect.arrayContaining(["docker.io/acme/web", "(head)", short("m4")]),
        expect.arrayContaining(["prod", short("m4")]),
      ]),
    );
    const listed = (await shown("list acme/web")).split("\n\n")[1]?.split("\n") ?? [];
    expect(listed.slice(1, -1).map((line) => line.split(/ {2,}/).slice(0, 5))).toEqual([
      [short("m4"), expect.any(String), expect.any(String), "head", "(head) prod"],
      [short("s"), expect.any(String), expect.any(String), "held-back"],
      [short("m1"), expect.any(String), expect.any(String), "superseded"],
      [short("m3"), expect.any(String), expect.any(String), "head"],
    ]);
    const side = await shown(`explain acme/web:${here.id("s")}`);
    expect(side).toMatch(/outcome {2}held-back: Nobody can prove .*\n {2}detail {3}\S+: /);
    expect(await shown(`explain web:${here.id("m1")}`)).toContain("superseded: A newer commit");
    expect(await shown("explain swarm/web")).toContain(`, built from ${short("m4")}\n  cause  build, event `);

    const foreign = digestOf("foreign");
    here.registry.push(web, "prod", foreign);
    await here.reported("pushed", foreign);
    expect(await shown("status")).toContain("somebody else moved it to");
    expect(await shown("explain acme/web:prod")).toContain("conflict: Somebody else moved a tag");
    await here.ordered("restore");
    await here.settle();
    const prod = (await shown("status")).split("\n").find((line) => /^ +prod /.test(line));
    expect(prod).toMatch(/moved by ann$/);
    expect(await shown("explain order-1")).toContain("ann ordered to put back what was there");
    expect(await shown("ledger")).toMatch(/restore +done +docker.io\/acme\/web:prod +ordered/);
  });
});
