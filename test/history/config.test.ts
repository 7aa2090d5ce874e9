import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "../../shared/clock.ts";
import type { Commit } from "../../shared/domain/commit.ts";
import { GitHostConfig } from "../../shared/history/config.ts";
import { createHistory } from "../../shared/history/index.ts";
import { type HttpClient, type HttpOptions, type HttpRequest, httpClient } from "../../shared/http.ts";
import { logLinear } from "../contracts/history-graphs.ts";
import { memoryGraph } from "../doubles/commit-graph.ts";
import { type GitServer, gitServer } from "../doubles/git-server.ts";

describe("an entry of `git`", () => {
  it.each<{ name: string; entry: object; reads?: object }>([
    { name: "a host and its kind", entry: { host: "github.com", kind: "github" } },
    {
      name: "everything that a git server may need",
      entry: {
        host: "git.acme.io:8443",
        kind: "git",
        username: "ci",
        token: "${file:/secrets/git}",
        url: "https://git.internal/mirror",
        ca: "${file:/secrets/ca.pem}",
      },
    },
    {
      name: "Gitiles with an access token alone",
      entry: { host: "skia.googlesource.com", kind: "gitiles", token: "${TOKEN}" },
    },
    {
      name: "plain http, said twice",
      entry: { host: "git.local", kind: "git", url: "http://127.0.0.1:8080", plainHttp: true },
    },
    {
      name: "a host in any spelling",
      entry: { host: "Git.Acme.IO:443", kind: "git" },
      reads: { host: "git.acme.io", kind: "git" },
    },
  ])("takes $name", ({ entry, reads }) => {
    expect(GitHostConfig.parse(entry)).toEqual(reads ?? entry);
  });

  it.each<{ name: string; entry: object; path: readonly string[]; says: RegExp }>([
    {
      name: "no kind that there is",
      entry: { host: "gitlab.com", kind: "gitlab" },
      path: ["kind"],
      says: /./,
    },
    { name: "no host", entry: { kind: "git" }, path: ["host"], says: /./ },
    {
      name: "a URL for a host",
      entry: { host: "https://git.acme.io", kind: "git" },
      path: ["host"],
      says: /is no host/,
    },
    {
      name: "a host with a path",
      entry: { host: "git.acme.io/team", kind: "git" },
      path: ["host"],
      says: /is no host/,
    },
    { name: "an empty host", entry: { host: "", kind: "git" }, path: ["host"], says: /is no host/ },
    {
      name: "a user in the host",
      entry: { host: "ci@git.acme.io", kind: "git" },
      path: ["host"],
      says: /is no host/,
    },
    {
      name: "a user without a token",
      entry: { host: "git.acme.io", kind: "git", username: "ci" },
      path: ["token"],
      says: /missing beside `username`/,
    },
    {
      name: "an empty token",
      entry: { host: "git.acme.io", kind: "git", token: "" },
      path: ["token"],
      says: /is empty/,
    },
    {
      name: "http that was not asked for",
      entry: { host: "git.acme.io", kind: "git", url: "HTTP://git.acme.io" },
      path: ["url"],
      says: /plainHttp/,
    },
    ...["ssh://git.acme.io", "https://user:pass@git.acme.io", "https://git.acme.io/?q", "git.acme.io"].map(
      (url) => ({
        name: `${url} for an address`,
        entry: { host: "git.acme.io", kind: "git", url },
        path: ["url"],
        says: /is no address/,
      }),
    ),
  ])("refuses $name", ({ entry, path, says }) => {
    const parsed = GitHostConfig.safeParse(entry);
    expect(parsed.error?.issues).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ path: [...path], message: expect.stringMatching(says) }),
      ]),
    );
  });

  it("refuses what its kind does not know: GitHub asks for no user", () => {
    const parsed = GitHostConfig.safeParse({ host: "github.com", kind: "github", token: "t", username: "u" });
    expect(parsed.error?.issues).toMatchObject([{ code: "unrecognized_keys", keys: ["username"] }]);
  });
});

describe("a history", () => {
  const graph = memoryGraph(logLinear);
  const opened: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const each of opened.splice(0)) await each.close();
  });

  async function serving(): Promise<GitServer> {
    const server = await gitServer();
    server.add("team/web", graph);
    server.add("mirror/team/web", graph);
    opened.push(server);
    return server;
  }

  /** A client that asks nobody, and notes what it was to ask. */
  function noting(): {
    sent: (HttpRequest & { ca: string | undefined })[];
    connect: (options: HttpOptions) => HttpClient;
  } {
    const sent: (HttpRequest & { ca: string | undefined })[] = [];
    const connect = ({ ca }: HttpOptions): HttpClient => ({
      request: async (request) => {
        sent.push({ ...request, ca });
        return { status: 401, headers: {}, body: Buffer.alloc(0) };
      },
      close: async () => {},
    });
    return { sent, connect };
  }

  const context = (extra: object = {}) => ({
    secret: (template: string) => () => `value of ${template}`,
    clock: systemClock,
    random: () => 0.5,
    ...extra,
  });
  const [one, other] = ["1", "2"].map((digit) => digit.repeat(40) as Commit) as [Commit, Commit];

  it("asks a configured host where it is reached, with its credentials", async () => {
    const server = await serving();
    const history = createHistory(
      [
        {
          host: "git.acme.io",
          kind: "git",
          url: `${server.origin}/mirror/`,
          plainHttp: true,
          username: "user",
          token: "token",
        },
      ],
      context({ connect: httpClient }),
    );
    opened.unshift(history);
    const at = { url: "https://git.acme.io/team/web.git", branch: "main" };
    await expect(history.order(at, graph.id("c2"), graph.id("c7"))).resolves.toBe("newer");
    const [first] = server.requests;
    expect(first?.path).toBe("/mirror/team/web.git/info/refs?service=git-upload-pack");
    expect(first?.header("authorization")).toBe(
      `Basic ${Buffer.from("value of user:value of token").toString("base64")}`,
    );
  });

  it.each([
    { url: "https://github.com/acme/web", asks: "https://api.github.com/repos/acme/web/" },
    { url: "https://skia.googlesource.com/skia", asks: "https://skia.googlesource.com/skia/" },
    { url: "https://git.example/web", asks: "https://git.example/web/info/refs" },
    { url: "https://git.example:8443/web", asks: "https://git.example:8443/web/info/refs" },
    { url: "https://github.com.evil.example/a/b", asks: "https://github.com.evil.example/a/b/info/refs" },
    { url: "https://evilgooglesource.com/a", asks: "https://evilgooglesource.com/a/info/refs" },
  ])("asks a host that is not configured by its name, without credentials: $url", async ({ url, asks }) => {
    const { sent, connect } = noting();
    const entries = ["github", "gitiles", "git"].map((kind) =>
      GitHostConfig.parse({ host: `${kind}.acme.io`, kind, token: "s3cret" }),
    );
    const history = createHistory(entries, context({ connect }));
    await expect(history.order({ url, branch: "main" }, one, other)).rejects.toMatchObject({
      code: "HISTORY_DENIED",
    });
    expect(sent.map((request) => request.url.startsWith(asks))).toEqual([true]);
    expect(JSON.stringify(sent)).not.toMatch(/authorization|s3cret/i);
  });

  it.each<{ entry: object; url: string; asks: string }>([
    {
      entry: { kind: "github", host: "github.com" },
      url: "https://github.com/a/b",
      asks: "https://api.github.com/",
    },
    {
      entry: { kind: "github", host: "git.acme.io" },
      url: "https://git.acme.io/a/b",
      asks: "https://git.acme.io/api/v3/",
    },
    {
      entry: { kind: "github", host: "git.acme.io", plainHttp: true },
      url: "https://GIT.acme.io/a/b",
      asks: "http://git.acme.io/api/v3/",
    },
    {
      entry: { kind: "git", host: "git.acme.io:443" },
      url: "https://git.acme.io:443/a",
      asks: "https://git.acme.io/a/info/refs",
    },
    {
      entry: { kind: "git", host: "git.acme.io", url: "https://mirror.acme.io/all/" },
      url: "https://git.acme.io/a",
      asks: "https://mirror.acme.io/all/a/info/refs",
    },
  ])("asks $asks for $url", async ({ entry, url, asks }) => {
    const { sent, connect } = noting();
    const history = createHistory([GitHostConfig.parse({ ...entry, token: "t" })], context({ connect }));
    await history.order({ url, branch: "main" }, one, other).catch(() => undefined);
    expect(sent[0]?.url.startsWith(asks)).toBe(true);
    expect(sent[0]?.headers?.authorization).toBeDefined();
  });

  it("gives credentials to exactly their host: neither to a name within it nor to another port", async () => {
    const { sent, connect } = noting();
    const history = createHistory([{ host: "acme.io", kind: "git", token: "t" }], context({ connect }));
    for (const host of ["git.acme.io", "acme.io:8443", "acme.io.evil.example", "evil-acme.io"]) {
      await history.order({ url: `https://${host}/web`, branch: "main" }, one, other).catch(() => undefined);
    }
    expect(sent).toHaveLength(4);
    expect(sent.filter(({ headers }) => headers?.authorization !== undefined)).toEqual([]);
  });

  it("trusts the certificates that stand there now", async () => {
    const { sent, connect } = noting();
    let ca = "old";
    const history = createHistory(
      [{ host: "git.acme.io", kind: "git", ca: "${file:/ca.pem}" }],
      context({ connect, secret: () => () => ca }),
    );
    const ask = () =>
      history.order({ url: "https://git.acme.io/web", branch: "main" }, one, other).catch(() => undefined);
    await ask();
    ca = "new";
    await ask();
    expect(sent.map((request) => request.ca)).toEqual(["old", "new"]);
  });

  it("resolves no secret of a host that is not asked", async () => {
    const history = createHistory([{ host: "git.acme.io", kind: "git", token: "t" }], {
      ...context(),
      secret: () => () => {
        throw new Error("no such secret");
      },
    });
    await expect(history.order({ url: "https://git.acme.io/web", branch: "main" }, one, one)).resolves.toBe(
      "same",
    );
    await history.close();
  });

  it("refuses an address that names no host", async () => {
    const history = createHistory([], context());
    await expect(history.order({ url: "web.git", branch: "main" }, one, other)).rejects.toMatchObject({
      code: "HISTORY_DENIED",
    });
  });
});
