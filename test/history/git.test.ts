import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { FaultKind } from "../../functions/local/sandbox/registry/faults.ts";
import { systemClock } from "../../shared/clock.ts";
import type { Commit } from "../../shared/domain/commit.ts";
import type { GitHost } from "../../shared/history/commit-history.ts";
import { gitHost } from "../../shared/history/git/git.ts";
import type { GitHostOptions } from "../../shared/history/host.ts";
import { httpClient } from "../../shared/http.ts";
import { historyContract } from "../contracts/history.ts";
import { historyOf, large, logLinear, relationIn, unrelated } from "../contracts/history-graphs.ts";
import { memoryGraph } from "../doubles/commit-graph.ts";
import { type GitServer, type GitServerOptions, gitServer, oldAdvertisement } from "../doubles/git-server.ts";
import { anyGraph } from "./any-graph.ts";

historyContract(
  "git, on graphs in memory,",
  async () => {
    const server = await gitServer();
    return {
      host: gitHost({ base: server.origin, client: httpClient(), clock: systemClock }),
      serve: async (graph) => {
        const made = memoryGraph(graph);
        server.add(graph.name, made);
        return { url: `https://git.example/${graph.name}.git`, id: made.id };
      },
      missingUrl: "https://git.example/nothing.git",
      close: server.close,
    };
  },
  // git itself makes and packs so many commits in the end-to-end tests, and in a fraction of the time
  { large: false },
);

const graph = memoryGraph(logLinear);
const far = memoryGraph(large);
const c = (name: string) => graph.id(name);
const url = "https://git.example/web.git";
const at = { url, branch: "main" };
const nowhere = "9".repeat(40) as Commit;

const opened: { close(): Promise<void> }[] = [];

async function serving(
  serverOptions: GitServerOptions = {},
  options: Partial<GitHostOptions> = {},
): Promise<{ server: GitServer; host: GitHost }> {
  const server = await gitServer(serverOptions);
  server.add("web", graph);
  server.add("large", far);
  server.add("unrelated", memoryGraph(unrelated));
  const host = gitHost({ base: server.origin, client: httpClient(), clock: systemClock, ...options });
  opened.push(host, server);
  return { server, host };
}

afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

describe("any graph, with dates in any order,", () => {
  it("is read by git's protocol as walking it tells", async () => {
    const { server, host } = await serving();
    await fc.assert(
      fc.asyncProperty(anyGraph, async (drawn) => {
        const made = memoryGraph(drawn);
        server.add("any", made);
        const any = { url: "https://git.example/any", branch: "main" };
        const names = drawn.commits.map(({ name }) => name);
        const onMain = historyOf(drawn, drawn.branches.main ?? "");
        for (const from of names) {
          const told = await Promise.all(
            names.map((to) => host.relation(any.url, made.id(from), made.id(to))),
          );
          expect(told).toEqual(names.map((to) => relationIn(drawn, from, to)));
          expect(await host.onBranch(any, made.id(from))).toBe(onMain.has(from) ? "on" : "off");
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe("what is asked of a git server", () => {
  let server: GitServer;
  let host: GitHost;
  beforeEach(async () => {
    ({ server, host } = await serving());
    // what the repository's server can do is asked once
    await host.relation(url, c("c0"), c("c1"));
    server.forgetRequests();
  });

  it("is one question for a newer commit, however far away, answered in a hundred bytes", async () => {
    expect(await host.relation(url, c("c0"), c("c8"))).toBe("ancestor");
    const [farUrl, first, last] = ["https://git.example/large", far.id("n0"), far.id("n19999")];
    expect(await host.relation(farUrl, first, last)).toBe("ancestor");
    expect(server.requests.map(({ method, bytes }) => [method, bytes < 250])).toEqual([
      ["POST", true],
      ["GET", true],
      ["POST", true],
    ]);
  });

  it("is one question for an older commit that is near, and two for one that is far", async () => {
    expect(await host.relation(url, c("c8"), c("c0"))).toBe("descendant");
    expect(server.requests).toHaveLength(1);
    const farUrl = "https://git.example/large";
    expect(await host.relation(farUrl, far.id("n19999"), far.id("n0"))).toBe("descendant");
    expect(server.requests.map(({ method }) => method)).toEqual(["POST", "GET", "POST", "POST"]);
  });

  it("is two questions for commits that diverged, and for one that is not there", async () => {
    expect(await host.relation(url, c("c2"), c("c4"))).toBe("diverged");
    expect(await host.relation(url, nowhere, c("c4"))).toBe("unknown-from");
    expect(await host.relation(url, c("c4"), nowhere)).toBe("unknown-to");
    expect(server.requests).toHaveLength(6);
  });

  it("is the tip and one question for a commit on the branch", async () => {
    expect(await host.onBranch(at, c("c2"))).toBe("on");
    expect(server.requests).toHaveLength(2);
  });

  it("is never sent a negotiation: git is ready for a commit's parents and siblings too", async () => {
    await host.relation(url, c("c2"), c("c4"));
    const sent = await Promise.all(server.requests.map(({ body }) => body()));
    expect(sent).toHaveLength(2);
    for (const body of sent) {
      expect(body.toString("latin1")).toMatch(/0009done\n0000$/);
      expect(body.toString("latin1")).toContain("0012filter tree:0\n");
    }
  });
});

describe("what a git server can do", () => {
  it("is enough without a filter where one commit is plainly before the other, and no guess is made where not", async () => {
    const advertisement = ["version 2", "fetch=shallow", "ls-refs"];
    const { host } = await serving({ advertisement });
    expect(await host.relation(url, c("c2"), c("c7"))).toBe("ancestor");
    expect(await host.relation(url, c("c7"), c("c2"))).toBe("descendant");
    expect(await host.onBranch(at, c("c3"))).toBe("on");
    await expect(host.relation(url, c("c2"), c("c4"))).rejects.toMatchObject({
      code: "HISTORY_UNAVAILABLE",
      message: expect.stringContaining("uploadpack.allowFilter"),
    });
  });

  it("may be told after a line that names the service, as older servers did", async () => {
    const { host } = await serving({
      advertisement: ["# service=git-upload-pack", "version 2", "fetch=filter", "object-format=sha1"],
    });
    expect(await host.relation(url, c("c2"), c("c4"))).toBe("diverged");
  });

  it.each<{ name: string; advertisement: readonly string[] }>([
    { name: "no version 2", advertisement: ["version 1"] },
    {
      name: "ids of a hash that is not known here",
      advertisement: ["version 2", "fetch", "object-format=sha3"],
    },
    { name: "no fetch", advertisement: ["version 2", "ls-refs"] },
  ])("is not enough with $name: a person must mend it", async ({ advertisement }) => {
    const { host } = await serving({ advertisement });
    await expect(host.relation(url, c("c0"), c("c1"))).rejects.toMatchObject({
      code: "HISTORY_DENIED",
      message: expect.stringContaining("version 2"),
    });
  });

  it("is not enough where the web server does not pass the header Git-Protocol on", async () => {
    const { server, host } = await serving();
    server.faults.switchOn({ does: { kind: "status", status: 200, body: oldAdvertisement() } });
    await expect(host.relation(url, c("c0"), c("c1"))).rejects.toMatchObject({ code: "HISTORY_DENIED" });
  });

  it("does not include what lies beyond where a copy is cut", async () => {
    const { host } = await serving({ shallow: true });
    expect(await host.relation(url, c("c2"), c("c7"))).toBe("ancestor");
    await expect(host.relation(url, c("c2"), c("c4"))).rejects.toThrow("shallow");
    await expect(
      host.onBranch(
        { url: "https://git.example/unrelated", branch: "other" },
        memoryGraph(unrelated).id("a1"),
      ),
    ).rejects.toThrow("shallow");
  });

  it("is said in JGit's words too", async () => {
    const { host } = await serving({ unknown: (id) => `want ${id} not valid` });
    expect(await host.relation(url, nowhere, c("c4"))).toBe("unknown-from");
    expect(await host.relation(url, c("c4"), nowhere)).toBe("unknown-to");
  });

  it("is not an unknown commit where the server speaks of something else", async () => {
    const { host } = await serving({ unknown: () => `upload-pack: not our ref ${"8".repeat(40)}` });
    await expect(host.relation(url, nowhere, c("c4"))).rejects.toMatchObject({ code: "HISTORY_UNAVAILABLE" });
  });
});

const answering = (status: number, headers: Record<string, string> = {}, body = ""): FaultKind => ({
  kind: "status",
  status,
  headers,
  body,
});

describe("a git server in trouble", () => {
  interface Case {
    readonly name: string;
    readonly does: FaultKind;
    readonly code: "HISTORY_UNAVAILABLE" | "HISTORY_DENIED";
    readonly retryAfterMs?: number;
  }
  const cases: readonly Case[] = [
    { name: "wants other credentials", does: answering(401), code: "HISTORY_DENIED" },
    { name: "forbids it", does: answering(403), code: "HISTORY_DENIED" },
    { name: "has no such repository", does: answering(404), code: "HISTORY_DENIED" },
    { name: "has it no longer", does: answering(410), code: "HISTORY_DENIED" },
    {
      name: "forbids it for a while",
      does: answering(403, { "retry-after": "30" }),
      code: "HISTORY_UNAVAILABLE",
      retryAfterMs: 30_000,
    },
    { name: "is asked too much", does: answering(429), code: "HISTORY_UNAVAILABLE", retryAfterMs: 60_000 },
    {
      name: "is asked too much and names a time",
      does: answering(429, { "retry-after": "7" }),
      code: "HISTORY_UNAVAILABLE",
      retryAfterMs: 7_000,
    },
    { name: "fails", does: answering(500), code: "HISTORY_UNAVAILABLE" },
    {
      name: "is being mended",
      does: answering(503, { "retry-after": "120" }),
      code: "HISTORY_UNAVAILABLE",
      retryAfterMs: 120_000,
    },
    { name: "answers a web page", does: { kind: "garbage" }, code: "HISTORY_UNAVAILABLE" },
    { name: "answers nothing", does: answering(200), code: "HISTORY_UNAVAILABLE" },
    {
      name: "dies while it packs",
      does: answering(200, {}, "000dpackfile\n0021\x03upload-pack: out of memory\n0000"),
      code: "HISTORY_UNAVAILABLE",
    },
    { name: "reports an error", does: answering(200, {}, "0010ERR no more"), code: "HISTORY_UNAVAILABLE" },
    { name: "is not HTTP", does: { kind: "not-http" }, code: "HISTORY_UNAVAILABLE" },
    { name: "drops the connection", does: { kind: "reset" }, code: "HISTORY_UNAVAILABLE" },
    { name: "answers half", does: { kind: "half-body" }, code: "HISTORY_UNAVAILABLE" },
    { name: "never answers", does: { kind: "hang" }, code: "HISTORY_UNAVAILABLE" },
    { name: "answers drop by drop", does: { kind: "slow-drip", everyMs: 5 }, code: "HISTORY_UNAVAILABLE" },
  ];
  const places = ["info/refs", "git-upload-pack"];

  it.each(places.flatMap((place) => cases.map((each) => ({ ...each, place }))))(
    "that $name at $place is no answer: $code",
    async ({ place, does, code, retryAfterMs }) => {
      const waits = does.kind === "hang" || does.kind === "slow-drip";
      const { server, host } = await serving({}, waits ? { deadlineMs: 200 } : {});
      server.faults.switchOn({ when: ({ path }) => path.includes(place), does });
      const error = { code, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
      await expect(host.relation(url, c("c2"), c("c4"))).rejects.toMatchObject(error);
      await expect(host.onBranch(at, c("c2"))).rejects.toMatchObject(error);
      server.faults.clear();
      if (!waits) expect(await host.relation(url, c("c2"), c("c7"))).toBe("ancestor");
    },
  );

  it("that ends its answer after a pack's beginning is no answer, wherever it ends", async () => {
    const { server, host } = await serving();
    const whole = "000dpackfile\n";
    for (const body of [
      whole,
      `${whole}0000`,
      `${whole}0011\x01PACK\0\0\0\x02\0\0\0`,
      `${whole}0011\x01PACK\0\0\0\x02\0\0\0\0`,
    ]) {
      const off = server.faults.switchOn({
        when: ({ method }) => method === "POST",
        does: answering(200, {}, body),
      });
      await expect(host.relation(url, c("c2"), c("c4"))).rejects.toMatchObject({
        code: "HISTORY_UNAVAILABLE",
      });
      off();
    }
  });
});

describe("credentials", () => {
  const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;

  it("are the token as a password, of the user that is configured or of one named git", async () => {
    const named = await serving(
      { authorization: basic("ada:s3cret") },
      { token: () => "s3cret\n", username: () => "ada" },
    );
    expect(await named.host.relation(url, c("c0"), c("c1"))).toBe("ancestor");
    const unnamed = await serving({ authorization: basic("git:s3cret") }, { token: () => "s3cret" });
    expect(await unnamed.host.relation(url, c("c0"), c("c1"))).toBe("ancestor");
  });

  it("that are wrong are told, and never shown", async () => {
    const { host } = await serving({ authorization: basic("git:right") }, { token: () => "wr0ng-token" });
    const failed = await host.relation(url, c("c0"), c("c1")).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: "HISTORY_DENIED" });
    expect(String(failed)).not.toContain("wr0ng-token");
    expect(String(failed)).not.toContain(basic("git:wr0ng-token"));
  });

  it("are read anew for each request, so that a rotated one is used", async () => {
    let token = "old";
    const { server, host } = await serving({}, { token: () => token });
    await host.relation(url, c("c0"), c("c1"));
    token = "new";
    await host.relation(url, c("c1"), c("c2"));
    expect(server.requests.map((call) => call.header("authorization"))).toEqual(
      ["old", "old", "new"].map((each) => basic(`git:${each}`)),
    );
  });

  it("follow a redirect that stays on the host, and go nowhere else", async () => {
    const elsewhere = await serving();
    const { server, host } = await serving({}, { token: () => "s3cret" });
    server.add("renamed", graph);
    const query = "?service=git-upload-pack";
    const redirect = (location: string) =>
      server.faults.switchOn({
        when: ({ path }) => path.startsWith("/web.git/"),
        does: answering(301, { location }),
      });
    const off = redirect(`/renamed.git/info/refs${query}`);
    expect(await host.relation(url, c("c0"), c("c1"))).toBe("ancestor");
    expect(server.requests.map(({ path }) => path)).toEqual([
      `/web.git/info/refs${query}`,
      `/renamed.git/info/refs${query}`,
      "/renamed.git/git-upload-pack",
    ]);
    off();
    for (const location of [`${elsewhere.server.origin}/web.git/info/refs${query}`, "/login", "::"]) {
      const other = gitHost({ base: server.origin, client: httpClient(), clock: systemClock });
      opened.push(other);
      const unset = redirect(location);
      await expect(other.relation(url, c("c0"), c("c1"))).rejects.toMatchObject({ code: "HISTORY_DENIED" });
      unset();
    }
    expect(elsewhere.server.requests).toEqual([]);
  });

  it("are sent to no other place by a redirect that goes in circles", async () => {
    const { server, host } = await serving();
    server.faults.switchOn({
      does: answering(302, { location: "/web.git/info/refs?service=git-upload-pack" }),
    });
    await expect(host.relation(url, c("c0"), c("c1"))).rejects.toMatchObject({ code: "HISTORY_UNAVAILABLE" });
  });
});

it.each(["https://git.example", "https://git.example/", "nonsense"])(
  "an address without a repository is refused: %s",
  async (address) => {
    const { host } = await serving();
    await expect(host.relation(address, c("c0"), c("c1"))).rejects.toMatchObject({ code: "HISTORY_DENIED" });
  },
);
