import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "../../functions/cli/main.ts";
import { ConfigError, LedgerUnavailableError } from "../../shared/errors.ts";
import type { OpenRollout } from "../../shared/ledger/workload-document.ts";
import {
  type Content,
  digest,
  event,
  ledgerOf,
  push,
  rollout,
  startMs,
  underWay,
  web,
  workload,
} from "./record.ts";

const nowMs = startMs + 60_000;
const planned = { workload: "prod/web", kind: "planned", seq: 3 } as const;

const full: Content = {
  workloads: [workload("prod/web", 3), underWay("int/web"), workload("int/api", 1)],
  rollouts: [
    rollout("prod/web", 3),
    rollout("prod/web", 2, {
      state: "failed",
      reason: "task exited with 1",
      blame: "image",
      times: { planned: startMs - 7_200_000, finished: startMs - 7_100_000 },
    }),
    rollout("int/web", 4, { state: "planned", times: { heard: startMs, planned: startMs + 200 } }),
    rollout("int/api", 1, { times: { planned: startMs - 86_400_000, finished: startMs - 86_390_000 } }),
  ],
  events: {
    "event-1": event("v1", [
      planned,
      { workload: "int/web", kind: "planned", seq: 4 },
      { workload: "int/db", kind: "skipped", reason: "paused" },
      { workload: "prod/old", kind: "skipped", reason: "other-tag", detail: "it follows v0" },
      { workload: "edge/*", kind: "waiting", reason: "target-unavailable", detail: "no answer" },
    ]),
    "event-0": event("v2", [], { heardMs: startMs - 3_600_000, outcome: "missing" }),
    "event-other": event("v1", [], {
      heardMs: startMs - 10_000,
      push: push("v1", { registry: "ghcr.io", repository: "acme/tool" }),
      outcome: "not-followed",
    }),
  },
  refs: { v1: digest("b") },
};

const context = {
  env: {},
  clock: { now: () => nowMs, monotonic: () => 0, sleep: async () => {} },
  progress: () => {},
};

async function cli(line: string, content: Content = full) {
  const printed = await runCli(line === "" ? [] : line.split(" "), {
    ...context,
    openLedger: () => ledgerOf(content),
  });
  return { ...printed, json: () => JSON.parse(printed.out) };
}

describe("the command line", () => {
  it.each<[line: string, code: number]>([
    ["status", 0],
    ["status web", 2],
    ["status prod/web", 0],
    ["status nothing", 1],
    ["ledger", 0],
    ["list", 2],
    ["list acme/web", 0],
    ["list acme/web --detailed-exitcode", 3],
    ["list acme/web:v1", 2],
    ["list UPPER/Case", 2],
    ["list web --limit 0", 2],
    ["ledger --limit 0", 2],
    ["ledger --limit many", 2],
    ["ledger --workload web", 2],
    ["ledger --workload nothing", 1],
    ["explain", 2],
    ["explain web", 2],
    ["explain acme/web:v1", 0],
    ["explain UPPER/Case:x", 2],
    ["explain event-1", 0],
    ["explain never/heard --detailed-exitcode", 3],
    ["explain never/heard", 0],
    ["config schema", 0],
    ["config", 2],
    ["config schema extra", 2],
    ["", 2],
    ["--help", 0],
    ["-h", 0],
    ["--version", 0],
    ["nonsense", 2],
    ["status --nonsense", 2],
    ["status --json=yes", 2],
    ["ledger --limit", 2],
  ])("`%s` exits with %i", async (line, code) => {
    const { out, err, code: got } = await cli(line);
    expect(got).toBe(code);
    expect(out === "").toBe(code === 1 || code === 2);
    expect(err === "").toBe(code === 0 || code === 3);
  });

  it.each<[line: string, code: number]>([
    ["status", 0],
    ["status --detailed-exitcode", 3],
    ["ledger --detailed-exitcode", 3],
  ])("with an empty ledger `%s` exits with %i", async (line, code) => {
    expect((await cli(line, {})).code).toBe(code);
  });

  it.each([
    ["stauts", "Did you mean `landfall status`?"],
    ["config chek", "Did you mean `landfall config check`?"],
    ["conifg", "Did you mean `landfall config`?"],
    ["status --jsno", "Did you mean `--json`?"],
    ["ledger --limt 3", "Did you mean `--limit`?"],
    ["status prod/wbe", "Did you mean `prod/web`?"],
    ["explain prod/wbe", "Did you mean `prod/web`?"],
  ])("`%s` is asked whether it meant another word", async (line, says) => {
    const { out, err } = await cli(line);
    expect(out + err).toContain(says);
  });

  it("lists every command, and shows examples of each that it would run", async () => {
    const { out } = await cli("--help");
    const names = [...out.matchAll(/^ {2}((?:config )?[a-z]+)/gm)].map(([, name]) => name ?? "");
    const readers = ["status", "explain", "list", "ledger", "drift", "config check", "config schema"];
    expect(names.slice(0, 9)).toEqual([...readers, "publish", "promote"]);
    for (const name of readers) {
      const help = (await cli(`${name} --help`)).out;
      const examples = [...help.matchAll(/^ {2}landfall (.*?)(?: {2}.*)?$/gm)].map(([, line]) => line ?? "");
      expect(examples.length).toBeGreaterThan(0);
      for (const example of examples) {
        const { err } = await cli(example.replace(/ >.*$/, ""));
        expect(err).not.toMatch(/no option|no command|too many|Usage/);
      }
    }
  });

  it.each([
    "status",
    "status prod/web",
    "ledger",
    "explain prod/web",
    "explain event-1",
    "explain acme/web",
    "list acme/web",
    "config schema",
  ])("`%s --json` prints data alone", async (line) => {
    expect(typeof (await cli(`${line} --json`)).json()).toBe("object");
  });

  it.each(["status nothing", "status web", "nonsense", "explain", "config check /nowhere.yaml"])(
    "`%s --json` prints its failure as data",
    async (line) => {
      const { json, err } = await cli(`${line} --json`);
      expect(json()).toEqual({ error: expect.objectContaining({ message: expect.any(String) }) });
      expect(err).toBe("");
    },
  );

  it("says what to do when there is no ledger, and that one did not answer", async () => {
    const run = (error: Error) => runCli(["status"], { ...context, openLedger: () => Promise.reject(error) });
    expect(await run(new ConfigError(["There is no ledger at x. Start Landfall here."]))).toEqual({
      out: "",
      err: "There is no ledger at x. Start Landfall here.\n",
      code: 1,
    });
    expect(await run(new LedgerUnavailableError("the file is locked"))).toMatchObject({ code: 1 });
    await expect(run(new TypeError("a defect"))).rejects.toThrow("a defect");
  });
});

describe("landfall status", () => {
  it("shows each workload's newest rollout, and one under way with what it waits for", async () => {
    expect((await cli("status")).out).toBe(
      [
        "WORKLOAD  STATE      IMAGE                  DIGEST                        SINCE     NOTE",
        "int/api   succeeded  docker.io/acme/web:v1  bbbbbbbbbbbb                  1 d ago",
        "int/web   verifying  docker.io/acme/web:v1  aaaaaaaaaaaa -> bbbbbbbbbbbb  59 s ago  1 of 2 tasks run; looked at again in 20 s",
        "prod/web  succeeded  docker.io/acme/web:v1  bbbbbbbbbbbb                  42 s ago",
        "",
        "3 workloads, 1 rolling out, 0 failed.",
        "",
      ].join("\n"),
    );
  });

  it("gives digests whole as data", async () => {
    const { workloads } = (await cli("status int/web --json")).json();
    expect(workloads).toHaveLength(1);
    expect(workloads[0]).toMatchObject({
      workload: "int/web",
      deployed: { web: digest("a") },
      open: { state: "verifying", note: "1 of 2 tasks run" },
      newest: { seq: 4, state: "verifying" },
    });
  });

  it("names all that an ambiguous tail could be", async () => {
    expect((await cli("status web")).err).toBe("`web` could be:\n  int/web\n  prod/web\n");
  });
});

describe("what stands for a workload", () => {
  const failed = rollout("prod/web", 3, { state: "failed", reason: "pull timed out", blame: "environment" });
  const retry = { kind: "retry", event: "event-1", of: 3 } as const;
  const open = { ...underWay("prod/web").open, seq: 4, state: "planned", cause: retry, retries: 1 } as const;

  it.each<[name: string, content: Content, says: string]>([
    [
      "is tried again",
      {
        workloads: [workload("prod/web", 4, { open: { ...(open as OpenRollout), retryMs: nowMs + 50_000 } })],
        rollouts: [failed, rollout("prod/web", 4, { state: "planned", cause: retry })],
      },
      "retry  rollout 3 to docker.io/acme/web:v1@bbbbbbbbbbbb failed, blamed on the environment: pull timed out; try 2 is rollout 4, in 50 s",
    ],
    [
      "could not be brought back",
      {
        workloads: [workload("prod/web", 3)],
        rollouts: [rollout("prod/web", 3, { state: "rollback-unavailable", reason: "it exits; it stays" })],
      },
      "not rolled back  rollout 3 failed, and nothing could be brought back: it exits; it stays",
    ],
  ])("tells of one that %s", async (_name, content, says) => {
    expect((await cli("status", content)).out).toContain(says);
  });
});

describe("landfall ledger", () => {
  const subjects = (out: string) => out.split("\n").map((line) => line.split(/ {2,}/).slice(2, 5).join(" "));

  it("puts pushes and rollouts into one list, newest first", async () => {
    expect(subjects((await cli("ledger")).out).slice(1, -1)).toEqual([
      "rollout 4 verifying int/web",
      "rollout 3 succeeded prod/web",
      "push done docker.io/acme/web:v1",
      "push done ghcr.io/acme/tool:v1",
      "push done docker.io/acme/web:v2",
      "rollout 2 failed prod/web",
      "rollout 1 succeeded int/api",
    ]);
  });

  it("shows the newest of both together when cut", async () => {
    const { events, rollouts } = (await cli("ledger --limit 3 --json")).json();
    expect(events.map(({ id }: { id: string }) => id)).toEqual(["event-1"]);
    expect(rollouts).toHaveLength(2);
  });

  it("can be of one workload, with the pushes that concerned it", async () => {
    const { events, rollouts } = (await cli("ledger --workload prod/web --json")).json();
    expect(events.map(({ id }: { id: string }) => id)).toEqual(["event-1"]);
    expect(rollouts.map(({ seq }: { seq: number }) => seq)).toEqual([3, 2]);
  });
});

describe("landfall explain", () => {
  it("tells of an image what was heard, said, decided and done", async () => {
    const { out } = await cli("explain acme/web:v1");
    for (const part of [
      "The registry: v1 is bbbbbbbbbbbb, seen 59 s ago; change number 2, before it aaaaaaaaaaaa.",
      "1 min ago (2026-11-22 02:00:00Z): docker.io/acme/web:v1 pushed by ada",
      "outcome  observed: The registry was asked",
      "It is paused: a person ordered that, or it has the label `landfall.pause`. `landfall resume WORKLOAD`",
      "It runs the same repository, but follows another tag. (it follows v0)",
      "Waits: A target could not be asked. (no answer)",
      "Other tags of docker.io/acme/web that were heard\n  v2  1 h ago",
    ]) {
      expect(out).toContain(part);
    }
    expect(out).toMatch(/int\/web +4 +verifying .*1 of 2 tasks run; looked at again in 20 s/);
    expect(out).not.toMatch(/sha256:|b{13}/);
  });

  it("does not take a name without a tag for latest", async () => {
    const { events, tag } = (await cli("explain acme/web --json")).json();
    expect(tag).toBeUndefined();
    expect(events.map(({ id }: { id: string }) => id)).toEqual(["event-1", "event-0"]);
  });

  it("finds the only repository of that name on another registry", async () => {
    expect((await cli("explain tool:v1 --json")).json()).toMatchObject({ repository: "ghcr.io/acme/tool" });
  });

  it("asks which of several repositories of one name is meant", async () => {
    const both: Content = {
      events: {
        one: event("v1", [], { push: push("v1", { registry: "ghcr.io" }) }),
        two: event("v1", [], { push: push("v1", { registry: "quay.io" }) }),
      },
    };
    const { err, code } = await cli("explain acme/web:v1", both);
    expect([err, code]).toEqual([
      "`acme/web:v1` could be:\n  ghcr.io/acme/web:v1\n  quay.io/acme/web:v1\n",
      2,
    ]);
  });

  it("says what to check when nothing was heard", async () => {
    const { out } = await cli("explain acme/web:v9");
    expect(out).toContain("No push of docker.io/acme/web:v9 is on record.");
    expect(out).toContain("Other tags of docker.io/acme/web that were heard");
  });

  it("tells of a workload its rollouts, newest first, with their steps", async () => {
    const { out } = await cli("explain prod/web");
    expect(out).toContain(
      "heard 2026-11-22 02:00:00Z, registry answered +100 ms, planned +200 ms, sent +210 ms, accepted +500 ms, finished +17.1 s",
    );
    expect(out).toContain("rollout 2: failed, task exited with 1; blamed on the image");
    expect(out.indexOf("rollout 3")).toBeLessThan(out.indexOf("rollout 2"));
    expect(out).not.toContain("int/db");
  });

  it("tells of an open rollout its state and what it waits for", async () => {
    expect((await cli("explain int/web")).out).toContain(
      "rollout 4: verifying, 1 of 2 tasks run; looked at again in 20 s",
    );
  });

  it("knows a workload that was only ever skipped", async () => {
    const { out } = await cli("explain db");
    expect(out).toContain("int/db\n\nLandfall has rolled nothing out there.");
    expect(out).toContain("It is paused: ");
  });

  it("tells of an event all its verdicts and its rollouts", async () => {
    const { event: told, rollouts } = (await cli("explain event-1 --json")).json();
    expect(told.verdicts).toHaveLength(5);
    expect(rollouts.map(({ workload: id }: { workload: string }) => id).toSorted()).toEqual([
      "int/web",
      "prod/web",
    ]);
  });

  it("shows a message that could not be read", async () => {
    const { push: _, ...unreadable } = event("v1", [], {
      outcome: "undecodable",
      detail: "its data is no JSON",
    });
    const { out } = await cli("explain undecodable-1", { events: { "undecodable-1": unreadable } });
    expect(out).toContain("(unreadable message)");
    expect(out).toContain("its data is no JSON");
  });

  it("shows text from elsewhere on one line and without control characters", async () => {
    const evil = "nothing\n\u001b[31mprod/web  planned\u0007";
    const { out } = await cli("explain event-1", {
      events: {
        "event-1": event("v1", [{ workload: "prod/web", kind: "skipped", reason: "held", detail: evil }], {
          push: push("v1", { pusher: evil }),
          detail: evil,
        }),
      },
    });
    expect(out.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
    expect(out).not.toMatch(/^\s*\[31m/m);
  });
});

describe("landfall config check", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "landfall-cli-"));
    await writeFile(
      join(folder, "good.yaml"),
      [
        `follow: ["${web}"]`,
        `images: [{ image: "${web}", git: { url: "https://a.io/b", branch: main }, channels: [{ tag: prod }] }]`,
        `reconcile: { auth: [{ kind: bearer, token: "\${TOKEN}" }] }`,
      ].join("\n"),
    );
    await writeFile(join(folder, "bad.yaml"), "follow: [web]\nregistries: [{ host: a.io, auth: google }]");
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("says that a good file is fine, and shows what it configures", async () => {
    const { out, code } = await cli(`config check ${join(folder, "good.yaml")}`);
    expect(code).toBe(0);
    expect(out).toContain("good.yaml is fine.");
    expect(out).toMatch(
      /images +docker\.io\/acme\/web prod\n +freezes +none\n +notify +none: .*\n +hash +[0-9a-f]{12}/,
    );
  });

  it("tells every problem of a bad one", async () => {
    const { err, code } = await cli(`config check ${join(folder, "bad.yaml")}`);
    expect(code).toBe(1);
    expect(err.split("\n").slice(1, -1)).toEqual([
      expect.stringMatching(/^ {2}follow\[0\] \(line 1\): /),
      "  registries[0].auth (line 2): not in this version; leave it away",
    ]);
  });

  it("looks up secrets when asked to", async () => {
    const { err, code } = await cli(`config check ${join(folder, "good.yaml")} --secrets`);
    expect([code, err]).toEqual([1, expect.stringContaining("the environment variable TOKEN is not set")]);
  });

  it("finds a webhook secret that is too short, and does not show it", async () => {
    const file = join(folder, "short.yaml");
    await writeFile(file, `follow: ["${web}"]\nwebhooks: [{ source: dockerhub, secrets: ["\${HOOK}"] }]`);
    const { err, code } = await runCli(["config", "check", file, "--secrets"], {
      ...context,
      env: { HOOK: "xyzzy" },
      openLedger: () => ledgerOf({}),
    });
    expect([code, err]).toEqual([
      1,
      expect.stringContaining("webhooks[0].secrets[0]: is shorter than 16 bytes"),
    ]);
    expect(err).not.toContain("xyzzy");
  });

  it("takes the file of the environment when none is named", async () => {
    const { code } = await runCli(["config", "check"], {
      ...context,
      env: { LANDFALL_CONFIG: join(folder, "bad.yaml") },
      openLedger: () => ledgerOf({}),
    });
    expect(code).toBe(1);
  });
});
