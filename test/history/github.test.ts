import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { FaultKind } from "../../functions/local/sandbox/registry/faults.ts";
import type { Commit } from "../../shared/domain/commit.ts";
import type { GitHost } from "../../shared/history/commit-history.ts";
import { githubHost } from "../../shared/history/github.ts";
import type { GitHostOptions } from "../../shared/history/host.ts";
import { httpClient } from "../../shared/http.ts";
import { logLinear, unrelated } from "../contracts/history-graphs.ts";
import { type MemoryGraph, memoryGraph } from "../doubles/commit-graph.ts";
import { gitHostServer, jsonAnswer } from "../doubles/git-host-server.ts";
import { type GitHubServer, githubServer } from "../doubles/github-server.ts";
import { type ManualClock, manualClock } from "../doubles/manual-clock.ts";

const url = "https://github.com/acme/app";
const at = { url, branch: "main" };
const secret = "ghp_0123456789";
const [one, other, third] = ["1", "2", "3"].map((digit) => digit.repeat(40) as Commit) as [
  Commit,
  Commit,
  Commit,
];

let server: GitHubServer;
let graph: MemoryGraph;
let clock: ManualClock;
let host: GitHost;
const opened: GitHost[] = [];

function open(options: Partial<GitHostOptions> = {}): GitHost {
  const made = githubHost({
    base: server.base,
    token: () => secret,
    client: httpClient(),
    clock,
    ...options,
  });
  opened.push(made);
  return made;
}

beforeEach(async () => {
  server = await githubServer({ token: secret });
  graph = memoryGraph(logLinear);
  server.add("acme/app", graph);
  clock = manualClock();
  host = open();
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((each) => each.close()));
  await server.close();
});

const paths = () => server.requests.map(({ path }) => path);
const c = (name: string) => graph.id(name);
const answering = (status: number, body: unknown, headers: Record<string, string> = {}): FaultKind => ({
  kind: "status",
  status,
  headers,
  body: typeof body === "string" ? body : JSON.stringify(body),
});

describe("a comparison by GitHub", () => {
  /** As GitHub answers, with the fields around those that count. */
  const compared = (status: string, mergeBase: string, ahead: number, behind: number) => ({
    url: `https://api.github.com/repos/acme/app/compare/${one}...${other}`,
    status,
    ahead_by: ahead,
    behind_by: behind,
    total_commits: ahead,
    base_commit: { sha: one, node_id: "MDY6Q29tbWl0", commit: { message: "fix" }, parents: [] },
    merge_base_commit: { sha: mergeBase, commit: { message: "fix" }, parents: [] },
    commits: [],
  });

  it.each([
    { status: "ahead", body: compared("ahead", one, 3, 0), relation: "ancestor" },
    { status: "behind", body: compared("behind", other, 0, 2), relation: "descendant" },
    { status: "diverged", body: compared("diverged", third, 3, 2), relation: "diverged" },
  ])("with the status $status makes the first commit $relation", async ({ body, relation }) => {
    server.faults.switchOn({ does: answering(200, body) });
    expect(await host.relation(url, one, other)).toBe(relation);
  });

  it("with the status identical makes them the same", async () => {
    server.faults.switchOn({ does: answering(200, compared("identical", one, 0, 0)) });
    expect(await host.relation(url, one, one)).toBe("same");
  });

  it("that is refused for lack of a common ancestor makes them diverged", async () => {
    const message = `No common ancestor between ${one} and ${other}.`;
    server.faults.switchOn({ does: answering(404, { message, status: "404" }) });
    expect(await host.relation(url, one, other)).toBe("diverged");
    expect(server.requests).toHaveLength(1);
  });

  it.each([
    { name: "ahead of another commit than the one asked for", body: compared("ahead", third, 3, 0) },
    { name: "behind another commit than the one asked for", body: compared("behind", one, 0, 3) },
    { name: "identical, of two commits", body: compared("identical", one, 0, 0) },
    { name: "diverged at one of the two", body: compared("diverged", one, 1, 1) },
    { name: "a status that is none", body: compared("unknown", one, 1, 0) },
    { name: "no merge base", body: { ...compared("ahead", one, 1, 0), merge_base_commit: undefined } },
    { name: "a list", body: [] },
    { name: "nothing", body: "" },
  ])("is not believed when it says: $name", async ({ body }) => {
    server.faults.switchOn({ does: answering(200, body) });
    await expect(host.relation(url, one, other)).rejects.toMatchObject({ code: "HISTORY_UNAVAILABLE" });
  });

  it("is asked for with three dots, by full ids, on a page without changed files, and is small", async () => {
    await host.relation(url, c("c0"), c("c8"));
    expect(paths()).toEqual([`/repos/acme/app/compare/${c("c0")}...${c("c8")}?per_page=1&page=2`]);
    expect(server.requests[0]?.bytes).toBeLessThan(1_000);
    server.forgetRequests();
    await fetch(`${server.base}/repos/acme/app/compare/${c("c0")}...${c("c8")}`, {
      headers: { authorization: `Bearer ${secret}` },
    });
    expect(server.requests[0]?.bytes).toBeGreaterThan(100_000);
  });

  it("carries the headers that GitHub asks for, and the token as it is now", async () => {
    let token = `${secret}\n`;
    const asked = open({ token: () => token });
    await asked.relation(url, c("c0"), c("c8"));
    const [call] = server.requests;
    expect(
      ["accept", "x-github-api-version", "authorization", "user-agent"].map((name) => call?.header(name)),
    ).toEqual([
      "application/vnd.github+json",
      "2022-11-28",
      `Bearer ${secret}`,
      expect.stringMatching(/^landfall\//),
    ]);
    token = "ghp_another";
    await expect(asked.relation(url, c("c0"), c("c8"))).rejects.toMatchObject({ code: "HISTORY_DENIED" });
  });

  it("goes without a token where none is configured", async () => {
    const open_ = await githubServer();
    open_.add("acme/app", graph);
    const asked = open({ base: open_.base, token: undefined });
    expect(await asked.relation(url, c("c0"), c("c8"))).toBe("ancestor");
    expect(open_.requests[0]?.header("authorization")).toBeUndefined();
    await open_.close();
  });

  it.each(["", "/"])("goes to an Enterprise Server below its base%s", async (end) => {
    const enterprise = await githubServer({ basePath: "/api/v3", token: secret });
    enterprise.add("acme/app", graph);
    const asked = open({ base: `${enterprise.base}${end}` });
    expect(await asked.relation("https://git.acme.io/acme/app.git", c("c7"), c("c5"))).toBe("descendant");
    expect(enterprise.requests[0]?.path).toMatch(/^\/api\/v3\/repos\/acme\/app\/compare\//);
    await enterprise.close();
  });
});

describe("a 404 to a comparison", () => {
  it("is told apart by asking for the commits: the second is not there", async () => {
    expect(await host.relation(url, c("c0"), one)).toBe("unknown-to");
    expect(paths().slice(1)).toEqual([`/repos/acme/app/commits/${one}`]);
    expect(server.requests[1]?.header("accept")).toBe("application/vnd.github.sha");
  });

  it("is told apart by asking for the commits: only the first is not there", async () => {
    expect(await host.relation(url, one, c("c0"))).toBe("unknown-from");
    expect(server.requests.map(({ status }) => status)).toEqual([404, 200, 422]);
    expect(server.requests.every(({ bytes }) => bytes < 1_000)).toBe(true);
  });

  it("is a repository that the token does not see", async () => {
    const elsewhere = "https://github.com/acme/secret";
    const error = await host.relation(elsewhere, c("c0"), c("c8")).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "HISTORY_DENIED", message: expect.stringContaining("acme/secret") });
    expect(paths().at(-1)).toBe("/repos/acme/secret");
  });

  it.each([
    { name: "404, as older servers answer", status: 404 },
    { name: "409, as for a repository without commits", status: 409 },
  ])("is a missing commit where the commit gets $name, and the repository is there", async ({ status }) => {
    server.faults.switchOn({
      when: ({ path }) => path.includes("/commits/"),
      does: answering(status, { message: "Not Found" }),
    });
    expect(await host.relation(url, one, other)).toBe("unknown-to");
    expect(paths().at(-1)).toBe("/repos/acme/app");
  });

  it("is no answer where both commits are there: replicas may lag", async () => {
    server.faults.switchOn({
      when: ({ path }) => path.includes("/compare/"),
      does: answering(404, { message: "Not Found" }),
    });
    await expect(host.relation(url, c("c0"), c("c8"))).rejects.toMatchObject({ code: "HISTORY_UNAVAILABLE" });
    await expect(host.onBranch(at, c("c0"))).rejects.toMatchObject({ code: "HISTORY_UNAVAILABLE" });
  });
});

describe("the branch", () => {
  it("is asked for its tip, and its tip is compared with the commit", async () => {
    expect(await host.onBranch(at, c("c2"))).toBe("on");
    expect(paths()).toEqual([
      "/repos/acme/app/git/ref/heads/main",
      `/repos/acme/app/compare/${c("c2")}...${c("c8")}?per_page=1&page=2`,
    ]);
  });

  it("needs one request for its tip itself", async () => {
    expect(await host.onBranch(at, c("c8"))).toBe("on");
    expect(server.requests).toHaveLength(1);
  });

  it("that has not moved costs nothing of the rate limit, and one that has moved is seen", async () => {
    await host.onBranch(at, c("c8"));
    graph.move("main", "c5");
    expect(await host.onBranch(at, c("c8"))).toBe("off");
    expect(await host.onBranch(at, c("c5"))).toBe("on");
    expect(server.requests.map(({ status }) => status)).toEqual([200, 200, 200, 304]);
  });

  it("holds nothing of a history of its own", async () => {
    const two = memoryGraph(unrelated);
    server.add("acme/two", two);
    const elsewhere = { url: "https://github.com/acme/two", branch: "main" };
    expect(await host.onBranch(elsewhere, two.id("b1"))).toBe("off");
  });

  it("is asked for by its path, whatever signs are in it", async () => {
    const signs = memoryGraph({ ...logLinear, name: "signs", branches: { "fix/50%+#1": "c4" } });
    server.add("acme/signs", signs);
    const elsewhere = { url: "https://github.com/acme/signs", branch: "fix/50%+#1" };
    expect(await host.onBranch(elsewhere, signs.id("c4"))).toBe("on");
    expect(paths()[0]).toBe("/repos/acme/signs/git/ref/heads/fix/50%25%2B%231");
  });

  it.each([
    { name: "another ref", body: { ref: "refs/heads/main-2", object: { sha: one } } },
    { name: "several refs, as for a prefix", body: [{ ref: "refs/heads/main", object: { sha: one } }] },
    { name: "no commit id", body: { ref: "refs/heads/main", object: { sha: "c0ffee" } } },
  ])("is not believed when the answer is $name", async ({ body }) => {
    server.faults.switchOn({ does: answering(200, body) });
    await expect(host.onBranch(at, one)).rejects.toMatchObject({ code: "HISTORY_UNAVAILABLE" });
  });
});

describe("what goes into a URL", () => {
  it.each([
    "acme:main",
    "main",
    "c0ffee",
    `evil:${"a".repeat(40)}`,
    `${"a".repeat(39)}G`,
    `${"a".repeat(40)}?`,
  ])("is no name that would be looked up elsewhere: %s", async (name) => {
    await expect(host.relation(url, name as Commit, one)).rejects.toThrow(TypeError);
    await expect(host.relation(url, one, name as Commit)).rejects.toThrow(TypeError);
    await expect(host.onBranch(at, name as Commit)).rejects.toThrow(TypeError);
    expect(server.requests).toEqual([]);
  });

  it.each([
    "https://github.com/acme",
    "https://github.com/acme/app/tree/main",
    "https://github.com/acme/..",
    "https://github.com/acme/.git",
    "https://github.com/acme/a%2Fb",
    "https://github.com/",
    "git@github.com:acme/app.git",
  ])("is no address without an owner and a name: %s", async (address) => {
    await expect(host.relation(address, one, other)).rejects.toMatchObject({ code: "HISTORY_DENIED" });
    expect(server.requests).toEqual([]);
  });

  it.each([
    "..",
    "a..b",
    "a/../../b",
    "/main",
    "main/",
    "a//b",
    ".hidden",
    "a/.b",
    "a b",
    "a~1",
    "x.lock",
    "a@{1}",
    "",
  ])("is no branch that git would not allow: %j", async (branch) => {
    await expect(host.onBranch({ url, branch }, one)).rejects.toMatchObject({ code: "HISTORY_DENIED" });
    expect(server.requests).toEqual([]);
  });
});

describe("a repository that was renamed", () => {
  it("is followed to its id, with everything that is asked", async () => {
    server.rename("acme/app", "acme/application");
    expect(await host.relation(url, c("c2"), c("c7"))).toBe("ancestor");
    expect(await host.onBranch(at, c("c3"))).toBe("on");
    expect(await host.relation(url, c("c2"), one)).toBe("unknown-to");
    expect(server.requests.filter(({ status }) => status === 301)).toHaveLength(5);
  });

  it.each([301, 302, 307, 308])("is followed by a %d three times at most", async (status) => {
    const away = answering(status, "", {
      location: `${server.base}/repositories/1000/compare/${c("c0")}...${c("c8")}`,
    });
    const off = server.faults.switchOn({ times: 3, does: away });
    expect(await host.relation(url, c("c0"), c("c8"))).toBe("ancestor");
    off();
    server.faults.switchOn({ times: 4, does: away });
    await expect(host.relation(url, c("c0"), c("c8"))).rejects.toMatchObject({ code: "HISTORY_UNAVAILABLE" });
  });

  it("is not followed to another host: the token stays here", async () => {
    const elsewhere = await gitHostServer(async () => jsonAnswer(200, {}));
    for (const location of [
      `${elsewhere.origin}/repositories/1`,
      "//evil.example/",
      "",
      "ftp://127.0.0.1/",
    ]) {
      server.faults.switchOn({ times: 1, does: answering(301, "", { location }) });
      await expect(host.relation(url, c("c0"), c("c8"))).rejects.toMatchObject({ code: "HISTORY_DENIED" });
    }
    expect(elsewhere.requests).toEqual([]);
    await elsewhere.close();
  });

  it("is not followed out of the API of its host", async () => {
    const enterprise = await githubServer({ basePath: "/api/v3", token: secret });
    const asked = open({ base: enterprise.base });
    enterprise.faults.switchOn({ does: answering(302, "", { location: "/login?return_to=x" }) });
    await expect(asked.relation(url, c("c0"), c("c8"))).rejects.toMatchObject({ code: "HISTORY_DENIED" });
    expect(enterprise.requests).toHaveLength(1);
    await enterprise.close();
  });
});

describe("GitHub in trouble", () => {
  const inTime: readonly { name: string; does: FaultKind; code: string }[] = [
    { name: "drops the connection", does: { kind: "reset" }, code: "HISTORY_UNAVAILABLE" },
    { name: "breaks off within the answer", does: { kind: "half-body" }, code: "HISTORY_UNAVAILABLE" },
    { name: "speaks another protocol", does: { kind: "not-http" }, code: "HISTORY_UNAVAILABLE" },
    { name: "shows a web page", does: { kind: "garbage" }, code: "HISTORY_UNAVAILABLE" },
    { name: "answers 500", does: answering(500, ""), code: "HISTORY_UNAVAILABLE" },
    { name: "answers 502", does: answering(502, { message: "Server Error" }), code: "HISTORY_UNAVAILABLE" },
    { name: "answers 408", does: answering(408, ""), code: "HISTORY_UNAVAILABLE" },
    {
      name: "cannot make the diff",
      does: answering(422, { message: "this diff is taking too long to generate" }),
      code: "HISTORY_UNAVAILABLE",
    },
    { name: "was told by a court", does: answering(451, { message: "DMCA" }), code: "HISTORY_UNAVAILABLE" },
    { name: "answers 204", does: answering(204, ""), code: "HISTORY_UNAVAILABLE" },
    {
      name: "has our token expired",
      does: answering(401, { message: "Bad credentials" }),
      code: "HISTORY_DENIED",
    },
    {
      name: "grants too little",
      does: answering(403, { message: "Resource not accessible by personal access token" }),
      code: "HISTORY_DENIED",
    },
    {
      name: "wants single sign-on",
      does: answering(403, { message: "Resource protected by organization SAML enforcement." }),
      code: "HISTORY_DENIED",
    },
  ];

  it.each(inTime)("that $name gives no order: $code", async ({ does, code }) => {
    server.faults.switchOn({ does });
    await expect(host.relation(url, c("c0"), c("c8"))).rejects.toMatchObject({ code, retryable: true });
    await expect(host.onBranch(at, c("c0"))).rejects.toMatchObject({ code });
    server.faults.clear();
    expect(await host.relation(url, c("c0"), c("c8"))).toBe("ancestor");
  });

  it.each<{ name: string; does: FaultKind }>([
    { name: "does not answer", does: { kind: "hang" } },
    { name: "answers a byte at a time", does: { kind: "slow-drip", everyMs: 50 } },
  ])("that $name is given up", async ({ does }) => {
    server.faults.switchOn({ does });
    const impatient = open({ deadlineMs: 200 });
    await expect(impatient.relation(url, c("c0"), c("c8"))).rejects.toMatchObject({
      code: "HISTORY_UNAVAILABLE",
    });
  });

  it("that is not there gives no order", async () => {
    await server.close();
    await expect(host.relation(url, c("c0"), c("c8"))).rejects.toMatchObject({ code: "HISTORY_UNAVAILABLE" });
  });

  it("that sends more than a comparison can be is not read to the end", async () => {
    server.faults.switchOn({ does: answering(200, " ".repeat(9 * 1024 * 1024)) });
    await expect(host.relation(url, c("c0"), c("c8"))).rejects.toMatchObject({ code: "HISTORY_UNAVAILABLE" });
  });

  it("says when to come back with a 503", async () => {
    server.faults.switchOn({ does: answering(503, "", { "retry-after": "7" }) });
    await expect(host.relation(url, c("c0"), c("c8"))).rejects.toMatchObject({ retryAfterMs: 7_000 });
  });

  it("has neither its own words nor the token in what we say of it", async () => {
    for (const status of [401, 403, 500]) {
      server.faults.switchOn({ times: 1, does: answering(status, { message: `hunter2 ${secret}` }) });
      const error = await host.relation(url, c("c0"), c("c8")).catch((thrown: unknown) => thrown);
      expect(String(error)).toContain(String(status));
      expect(String(error)).not.toMatch(/hunter2|ghp_/);
    }
  });
});

describe("GitHub's rate limits", () => {
  const nowS = () => Math.floor(clock.now() / 1_000);

  it.each([
    {
      name: "a 403 with nothing left, until its reset",
      status: 403,
      headers: { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "+90" },
      message: "API rate limit exceeded",
      waitMs: 90_000,
    },
    {
      name: "a 429 with nothing left, until its reset",
      status: 429,
      headers: { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "+90" },
      message: "",
      waitMs: 90_000,
    },
    {
      name: "a retry-after, which wins",
      status: 403,
      headers: { "retry-after": "20", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "+90" },
      message: "",
      waitMs: 20_000,
    },
    {
      name: "a secondary limit that names no time, for a minute",
      status: 403,
      headers: { "x-ratelimit-remaining": "4000", "x-ratelimit-reset": "+90" },
      message: "You have exceeded a secondary rate limit.",
      waitMs: 60_000,
    },
    { name: "a 429 that names no time, for a minute", status: 429, headers: {}, message: "", waitMs: 60_000 },
    {
      name: "a reset that is past, for a second",
      status: 403,
      headers: { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "-5" },
      message: "",
      waitMs: 1_000,
    },
    {
      name: "a reset that is no number, for a minute",
      status: 403,
      headers: { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon" },
      message: "",
      waitMs: 60_000,
    },
  ])("are kept: $name", async ({ status, headers, message, waitMs }) => {
    const sent = Object.entries(headers).map(([name, value]) => [
      name,
      /^[+-]/.test(value) ? String(nowS() + Number(value)) : value,
    ]);
    server.faults.switchOn({ times: 1, does: answering(status, { message }, Object.fromEntries(sent)) });
    const refused = { code: "HISTORY_UNAVAILABLE", retryAfterMs: waitMs };
    await expect(host.relation(url, c("c0"), c("c8"))).rejects.toMatchObject(refused);
    await clock.advance(waitMs - 500);
    await expect(host.onBranch(at, c("c0"))).rejects.toMatchObject({ ...refused, retryAfterMs: 500 });
    expect(server.requests).toHaveLength(1);
    await clock.advance(500);
    expect(await host.relation(url, c("c0"), c("c8"))).toBe("ancestor");
  });

  it("that name no time are kept twice as long each time, until it answers", async () => {
    const limited = answering(429, "");
    server.faults.switchOn({ times: 3, does: limited });
    for (const waitMs of [60_000, 120_000, 240_000]) {
      await expect(host.relation(url, c("c0"), c("c8"))).rejects.toMatchObject({ retryAfterMs: waitMs });
      await clock.advance(waitMs);
    }
    await host.relation(url, c("c0"), c("c8"));
    server.faults.switchOn({ times: 1, does: limited });
    await expect(host.relation(url, c("c0"), c("c8"))).rejects.toMatchObject({ retryAfterMs: 60_000 });
  });

  it("are met within an hour's budget: what is spent is told, and asked again after the reset", async () => {
    server.limit(3, nowS() + 600);
    expect(await host.onBranch(at, c("c8"))).toBe("on");
    expect(await host.onBranch(at, c("c8"))).toBe("on");
    expect(await host.relation(url, c("c0"), c("c8"))).toBe("ancestor");
    expect(await host.relation(url, c("c1"), c("c8"))).toBe("ancestor");
    const told = await host.relation(url, c("c2"), c("c8")).catch((thrown: unknown) => thrown);
    expect(told).toMatchObject({
      code: "HISTORY_UNAVAILABLE",
      retryAfterMs: nowS() * 1_000 + 600_000 - clock.now(),
    });
  });

  it("stop those that were waiting for their turn, too", async () => {
    server.faults.switchOn({ does: answering(429, "", { "retry-after": "30" }) });
    const asked = await Promise.allSettled(
      ["c1", "c2", "c3"].map((name) => host.relation(url, c("c0"), c(name))),
    );
    expect(asked.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    expect(server.requests).toHaveLength(1);
  });

  it("are the reason to ask one thing after another", async () => {
    const asked = Array.from({ length: 20 }, (_, index) =>
      host.relation(url, c("c0"), c(`c${(index % 8) + 1}`)),
    );
    expect(new Set(await Promise.all(asked))).toEqual(new Set(["ancestor"]));
    expect(server.mostAtOnce).toBe(1);
  });

  it("leave who cannot have a turn in time without one, and those after it with theirs", async () => {
    server.faults.switchOn({ times: 1, does: { kind: "hang" } });
    const first = open({ deadlineMs: 2_000 });
    const stuck = first.relation(url, c("c0"), c("c8")).catch((thrown: unknown) => thrown);
    const waiting = first.relation(url, c("c0"), c("c7")).catch((thrown: unknown) => thrown);
    await clock.advance(2_000);
    expect(await waiting).toMatchObject({
      code: "HISTORY_UNAVAILABLE",
      message: expect.stringContaining("time is up"),
    });
    const after = first.relation(url, c("c0"), c("c5"));
    expect(await stuck).toMatchObject({ code: "HISTORY_UNAVAILABLE" });
    expect(await after).toBe("ancestor");
    expect(paths()).toHaveLength(1);
  });
});
