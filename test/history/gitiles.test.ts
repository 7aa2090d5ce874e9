import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { FaultKind } from "../../functions/local/sandbox/registry/faults.ts";
import type { Commit } from "../../shared/domain/commit.ts";
import type { GitHost } from "../../shared/history/commit-history.ts";
import { gitilesHost } from "../../shared/history/gitiles.ts";
import type { GitHostOptions } from "../../shared/history/host.ts";
import { httpClient } from "../../shared/http.ts";
import { type Graph, logLinear } from "../contracts/history-graphs.ts";
import { type MemoryGraph, memoryGraph } from "../doubles/commit-graph.ts";
import { gitHostServer, jsonAnswer } from "../doubles/git-host-server.ts";
import { type GitilesServer, gitilesServer } from "../doubles/gitiles-server.ts";
import { type ManualClock, manualClock } from "../doubles/manual-clock.ts";

const url = "https://skia.googlesource.com/skia.git";
const at = { url, branch: "main" };
const secret = "ya29.0123456789";
const [one, other] = ["1", "2"].map((digit) => digit.repeat(40) as Commit) as [Commit, Commit];

let server: GitilesServer;
let graph: MemoryGraph;
let clock: ManualClock;
let host: GitHost;
const opened: { close(): Promise<void> }[] = [];

function open(options: Partial<GitHostOptions> = {}): GitHost {
  const made = gitilesHost({ base: server.base, client: httpClient(), clock, ...options });
  opened.push(made);
  return made;
}

beforeEach(async () => {
  server = await gitilesServer();
  graph = memoryGraph(logLinear);
  server.add("skia", graph);
  clock = manualClock();
  host = open();
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((each) => each.close()));
  await server.close();
});

const c = (name: string) => graph.id(name);
/** What was asked for, in the names of the graph. */
const asked = () =>
  server.requests.map(({ path }) =>
    path.replace(/[0-9a-f]{40}/g, (id) => logLinear.commits.find(({ name }) => c(name) === id)?.name ?? "?"),
  );
const answering = (status: number, body: string, headers: Record<string, string> = {}): FaultKind => ({
  kind: "status",
  status,
  headers,
  body,
});
const order = "topo-order=1";

describe("what is asked of Gitiles", () => {
  it("is one log for the usual case: what the first commit has and the second has not", async () => {
    await host.relation(url, c("c5"), c("c7"));
    expect(asked()).toEqual([`/skia/+log/c7..c5?format=JSON&n=1&${order}`]);
  });

  it("is the other way round too where that log is not empty", async () => {
    await host.relation(url, c("c7"), c("c5"));
    expect(asked()).toEqual([
      `/skia/+log/c5..c7?format=JSON&n=1&${order}`,
      `/skia/+log/c7..c5?format=JSON&n=1&${order}`,
    ]);
  });

  it("is one log for a commit on the branch", async () => {
    await host.onBranch(at, c("c3"));
    expect(asked()).toEqual([`/skia/+log/refs/heads/main..c3?format=JSON&n=1&${order}`]);
  });

  it("is whether the commit is there where both are the same", async () => {
    expect(await host.relation(url, one, one)).toBe("unknown-to");
    expect(asked()).toEqual([`/skia/+log/??format=JSON&n=1&${order}`, "/skia/+refs/landfall?format=JSON"]);
  });

  it("is a branch by its path, whatever signs are in it", async () => {
    const signs = memoryGraph({ ...logLinear, name: "signs", branches: { "fix/50%+#1": "c4" } });
    server.add("signs", signs);
    const elsewhere = { url: "https://skia.googlesource.com/signs", branch: "fix/50%+#1" };
    expect(await host.onBranch(elsewhere, signs.id("c4"))).toBe("on");
    expect(server.requests[0]?.path).toContain("/+log/refs/heads/fix/50%25%2B%231..");
  });

  it.each(["owner:main", "main", "HEAD", `${"a".repeat(40)}^`])(
    "is no name for a commit: %s",
    async (name) => {
      await expect(host.relation(url, name as Commit, one)).rejects.toThrow(TypeError);
      await expect(host.onBranch(at, name as Commit)).rejects.toThrow(TypeError);
      expect(server.requests).toEqual([]);
    },
  );
});

describe("dates of commits", () => {
  /** b0 to b9 on f0, which is from the future, with a commit from 1970 between. */
  const skewed: Graph = {
    name: "skewed",
    commits: [
      { name: "r0", parents: [], atS: 1_000 },
      { name: "f0", parents: ["r0"], atS: 3_000_000 },
      { name: "b0", parents: ["f0"], atS: 1 },
      { name: "b1", parents: ["b0"], atS: 2_000 },
    ],
    branches: { main: "b1" },
  };

  it("that are out of order make a log list too much: then parents decide", async () => {
    const lying = memoryGraph(skewed);
    server.add("lying", lying);
    const elsewhere = "https://skia.googlesource.com/lying";
    expect(await lying.log(lying.id("b1"), lying.id("f0"))).not.toEqual([]);
    expect(await host.relation(elsewhere, lying.id("f0"), lying.id("b1"))).toBe("ancestor");
    expect(await host.relation(elsewhere, lying.id("b1"), lying.id("f0"))).toBe("descendant");
    expect(await host.onBranch({ url: elsewhere, branch: "main" }, lying.id("f0"))).toBe("on");
  });

  it("cost two pages of each side at most before two commits are told to have diverged", async () => {
    const line = (side: string) =>
      Array.from({ length: 2_100 }, (_, index) => ({
        name: `${side}${index}`,
        parents: [index === 0 ? "root" : `${side}${index - 1}`],
        atS: 100 + index,
      }));
    const wide = memoryGraph({
      name: "wide",
      commits: [{ name: "root", parents: [], atS: 0 }, ...line("a"), ...line("b")],
      branches: { main: "a2099", side: "b2099" },
    });
    server.add("wide", wide);
    expect(
      await host.relation("https://skia.googlesource.com/wide", wide.id("a2099"), wide.id("b2099")),
    ).toBe("diverged");
    const counts = server.requests.map(({ url: { searchParams } }) => searchParams.get("n"));
    expect(counts).toEqual(["1", "1", "1000", "1000", "1000", "1000"]);
  });

  it("follow a page's cursor only where it is a commit", async () => {
    const first = `)]}'\n${JSON.stringify({ log: [{ commit: one, parents: [other] }], next: "../../secret" })}`;
    server.faults.switchOn({ does: answering(200, first) });
    expect(await host.relation(url, c("c0"), c("c8"))).toBe("diverged");
    expect(server.requests).toHaveLength(4);
  });
});

describe("a 404", () => {
  it("is told apart: the second commit is not there, or not in any branch", async () => {
    graph.move("main", "c5");
    expect(await host.relation(url, c("c5"), c("c8"))).toBe("unknown-to");
    expect(asked()).toEqual([
      `/skia/+log/c8..c5?format=JSON&n=1&${order}`,
      `/skia/+log/c8?format=JSON&n=1&${order}`,
      "/skia/+refs/landfall?format=JSON",
    ]);
    expect(await host.relation(url, c("c8"), c("c5"))).toBe("unknown-from");
    expect(await host.onBranch(at, c("c8"))).toBe("unknown");
  });

  it.each([
    { name: "the repository is not there", url: "https://skia.googlesource.com/nothing" },
    { name: "the repository is another's, whose name begins so", url: "https://skia.googlesource.com/ski" },
  ])("is told apart: $name", async ({ url: elsewhere }) => {
    await expect(host.relation(elsewhere, one, other)).rejects.toMatchObject({ code: "HISTORY_DENIED" });
    await expect(host.relation(elsewhere, one, one)).rejects.toMatchObject({ code: "HISTORY_DENIED" });
    await expect(host.onBranch({ ...at, url: elsewhere }, one)).rejects.toMatchObject({
      code: "HISTORY_DENIED",
    });
  });

  it("is told apart: the branch is not there", async () => {
    const nowhere = host.onBranch({ ...at, branch: "release" }, c("c0"));
    await expect(nowhere).rejects.toMatchObject({
      code: "HISTORY_DENIED",
      message: expect.stringContaining("no branch release"),
    });
  });

  it("that comes and goes is no verdict", async () => {
    server.faults.switchOn({ when: ({ path }) => path.includes("n=1000"), does: answering(404, "") });
    await expect(host.relation(url, c("c2"), c("c4"))).rejects.toMatchObject({ code: "HISTORY_UNAVAILABLE" });
  });
});

describe("credentials", () => {
  const basic = `Basic ${Buffer.from("git-landfall:secret").toString("base64")}`;
  const cases: readonly {
    name: string;
    basePath?: string;
    base?: string;
    options: Partial<GitHostOptions>;
    authorization: string;
    path: string;
  }[] = [
    {
      name: "a token alone is an OAuth token",
      options: { token: () => secret },
      authorization: `Bearer ${secret}`,
      path: "/a/skia/+log/",
    },
    {
      name: "a token with a user is a password",
      options: { token: () => "secret\n", username: () => "git-landfall" },
      authorization: basic,
      path: "/a/skia/+log/",
    },
    {
      name: "Gerrit looks for them in front of its plugins",
      basePath: "/plugins/gitiles",
      options: { token: () => secret },
      authorization: `Bearer ${secret}`,
      path: "/a/plugins/gitiles/skia/+log/",
    },
    {
      name: "a base that has /a/ already is taken as it is",
      basePath: "/plugins/gitiles",
      base: "/a/plugins/gitiles",
      options: { token: () => secret },
      authorization: `Bearer ${secret}`,
      path: "/a/plugins/gitiles/skia/+log/",
    },
  ];

  it.each(cases)("go below /a/: $name", async ({ basePath = "", base, options, authorization, path }) => {
    const closed = await gitilesServer({ basePath, authorization });
    closed.add("skia", graph);
    const made = open({ base: `${closed.origin}${base ?? basePath}/`, ...options });
    expect(await made.relation(url, c("c5"), c("c7"))).toBe("ancestor");
    expect(await made.onBranch(at, c("c7"))).toBe("on");
    expect(closed.requests[0]?.path.startsWith(path)).toBe(true);
    await closed.close();
  });

  it("are asked for anew at each request", async () => {
    let token = secret;
    const closed = await gitilesServer({ authorization: `Bearer ${secret}` });
    closed.add("skia", graph);
    const made = open({ base: closed.base, token: () => token });
    expect(await made.relation(url, c("c5"), c("c7"))).toBe("ancestor");
    token = "ya29.another";
    await expect(made.relation(url, c("c5"), c("c7"))).rejects.toMatchObject({ code: "HISTORY_DENIED" });
    await closed.close();
  });

  it("are not sent to anonymous hosts, and a host that leads to a log-in is not followed", async () => {
    const closed = await gitilesServer({ authorization: `Bearer ${secret}` });
    closed.add("skia", graph);
    await expect(open({ base: closed.base }).relation(url, c("c5"), c("c7"))).rejects.toMatchObject({
      code: "HISTORY_DENIED",
    });
    expect(closed.requests.map(({ status }) => status)).toEqual([302]);
    expect(closed.requests[0]?.header("authorization")).toBeUndefined();
    await closed.close();
  });

  it("are never sent elsewhere", async () => {
    const elsewhere = await gitHostServer(async () => jsonAnswer(200, {}));
    opened.push(elsewhere);
    const made = open({ token: () => secret });
    for (const location of [`${elsewhere.origin}/a/skia`, "/login", `//${new URL(elsewhere.origin).host}/`]) {
      server.faults.switchOn({ times: 1, does: answering(302, "", { location }) });
      await expect(made.relation(url, c("c5"), c("c7"))).rejects.toMatchObject({ code: "HISTORY_DENIED" });
    }
    expect(elsewhere.requests).toEqual([]);
  });
});

describe("the repository's address", () => {
  it.each([
    { address: "https://skia.googlesource.com/skia", path: "/skia/+log/" },
    { address: "https://skia.googlesource.com/skia.git", path: "/skia/+log/" },
    { address: "https://skia.googlesource.com/a/skia.git/", path: "/skia/+log/" },
    {
      address: "https://skia.googlesource.com/external/github.com/ada.c",
      path: "/external/github.com/ada.c/+log/",
    },
  ])("$address is asked at $path", async ({ address, path }) => {
    await host.relation(address, one, other).catch(() => undefined);
    expect(server.requests[0]?.path.startsWith(path)).toBe(true);
  });

  it("may begin with the base", async () => {
    const plugin = await gitilesServer({ basePath: "/plugins/gitiles" });
    plugin.add("team/app", graph);
    const made = open({ base: plugin.base });
    for (const address of [
      "https://gerrit.acme.io/team/app",
      "https://gerrit.acme.io/plugins/gitiles/team/app",
    ]) {
      expect(await made.relation(address, c("c5"), c("c7"))).toBe("ancestor");
    }
    await plugin.close();
  });

  it.each([
    "https://skia.googlesource.com/",
    "https://skia.googlesource.com/.git",
    "https://skia.googlesource.com/skia/+log/main",
    "https://skia.googlesource.com/a//b",
    "https://skia.googlesource.com/a%2fb",
    "skia",
  ])("that names no repository is not asked for: %s", async (address) => {
    await expect(host.relation(address, one, other)).rejects.toMatchObject({ code: "HISTORY_DENIED" });
    expect(server.requests).toEqual([]);
  });
});

describe("Gitiles in trouble", () => {
  const log = (value: unknown) => `)]}'\n${JSON.stringify(value)}`;

  it.each<{ name: string; does: FaultKind; code: string }>([
    { name: "drops the connection", does: { kind: "reset" }, code: "HISTORY_UNAVAILABLE" },
    { name: "breaks off within the answer", does: { kind: "half-body" }, code: "HISTORY_UNAVAILABLE" },
    { name: "shows a web page", does: { kind: "garbage" }, code: "HISTORY_UNAVAILABLE" },
    { name: "answers 500", does: answering(500, ""), code: "HISTORY_UNAVAILABLE" },
    { name: "answers 503", does: answering(503, ""), code: "HISTORY_UNAVAILABLE" },
    { name: "answers 400", does: answering(400, ""), code: "HISTORY_UNAVAILABLE" },
    { name: "answers 401", does: answering(401, ""), code: "HISTORY_DENIED" },
    { name: "answers 403", does: answering(403, ""), code: "HISTORY_DENIED" },
    { name: "answers no log", does: answering(200, log({})), code: "HISTORY_UNAVAILABLE" },
    {
      name: "answers a log that is none",
      does: answering(200, log({ log: "empty" })),
      code: "HISTORY_UNAVAILABLE",
    },
    { name: "answers a list", does: answering(200, log([])), code: "HISTORY_UNAVAILABLE" },
    {
      name: "answers the guard and nothing else",
      does: answering(200, ")]}'\n"),
      code: "HISTORY_UNAVAILABLE",
    },
    { name: "answers nothing", does: answering(200, ""), code: "HISTORY_UNAVAILABLE" },
  ])("that $name gives no order: $code", async ({ does, code }) => {
    server.faults.switchOn({ does });
    await expect(host.relation(url, c("c0"), c("c8"))).rejects.toMatchObject({ code, retryable: true });
    await expect(host.onBranch(at, c("c0"))).rejects.toMatchObject({ code });
  });

  it("that does not answer is given up", async () => {
    server.faults.switchOn({ does: { kind: "hang" } });
    const impatient = open({ deadlineMs: 200 });
    await expect(impatient.relation(url, c("c0"), c("c8"))).rejects.toMatchObject({
      code: "HISTORY_UNAVAILABLE",
    });
  });

  it("is left alone for as long as it says with a 429, or for a minute", async () => {
    const words = "RESOURCE_EXHAUSTED: Short term server-time rate limit exceeded";
    server.faults.switchOn({ times: 1, does: answering(429, words) });
    await expect(host.relation(url, c("c0"), c("c8"))).rejects.toMatchObject({ retryAfterMs: 60_000 });
    await clock.advance(60_000);
    server.faults.switchOn({ times: 1, does: answering(429, words, { "retry-after": "5" }) });
    await expect(host.relation(url, c("c0"), c("c8"))).rejects.toMatchObject({ retryAfterMs: 5_000 });
    await expect(host.onBranch(at, c("c0"))).rejects.toMatchObject({ code: "HISTORY_UNAVAILABLE" });
    expect(server.requests).toHaveLength(2);
    await clock.advance(5_000);
    expect(await host.relation(url, c("c0"), c("c8"))).toBe("ancestor");
  });
});

describe("our own limit", () => {
  it("lets 40 requests go at once, then four a second, whoever asks, and fills up again in rest", async () => {
    const ask = (count: number) => Array.from({ length: count }, () => host.relation(url, c("c0"), c("c8")));
    const first = ask(46);
    await Promise.all(first.slice(0, 40));
    expect(server.requests).toHaveLength(40);
    expect(clock.nextMs()).toBe(250);
    await clock.advance(1_000);
    await Promise.all(first.slice(40, 44));
    expect(server.requests).toHaveLength(44);
    await clock.advance(500);
    await Promise.all(first);
    await clock.advance(60_000);
    await Promise.all(ask(40));
    expect(server.requests).toHaveLength(86);
    expect(clock.nextMs()).toBeUndefined();
  });

  it("tells who would wait too long at once", async () => {
    const impatient = open({ deadlineMs: 1_000 });
    const all = Array.from({ length: 50 }, () => impatient.relation(url, c("c0"), c("c8")));
    const late = await Promise.allSettled(all.slice(43));
    expect(late.map(({ status }) => status)).toEqual(Array(7).fill("rejected"));
    expect(late[0]).toMatchObject({ reason: { code: "HISTORY_UNAVAILABLE" } });
    await clock.advance(1_000);
    expect(new Set(await Promise.all(all.slice(0, 43)))).toEqual(new Set(["ancestor"]));
    await Promise.allSettled(all);
  });
});
