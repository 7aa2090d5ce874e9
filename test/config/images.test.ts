import { describe, expect, it } from "vitest";
import { imageRules } from "../../functions/wiring/rules.ts";
import { parseConfig } from "../../shared/config/parse.ts";
import type { Repository } from "../../shared/domain/reference.ts";
import { ConfigError } from "../../shared/errors.ts";

const follow = 'follow: ["docker.io/acme/*"]';
const git = 'git: { url: "https://github.com/acme/api", branch: main }';
const image = "image: docker.io/acme/api";

async function problemsOf(text: string): Promise<readonly string[]> {
  try {
    await parseConfig(text);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

const images = (...entries: readonly string[]) =>
  [follow, "images:", ...entries.map((entry) => `  - { ${entry} }`)].join("\n");
const channels = (...entries: readonly string[]) =>
  images(`${image}, ${git}, channels: [${entries.join(", ")}]`);
const url = (text: string) => images(`${image}, git: { url: "${text}", branch: main }`);
const branch = (text: string) =>
  images(`${image}, git: { url: "https://github.com/acme/api", branch: "${text}" }`);
const hosts = (...entries: readonly string[]) =>
  [follow, "git:", ...entries.map((entry) => `  - { ${entry} }`)].join("\n");

describe("images with mistakes", () => {
  it.each<[name: string, text: string, path: string, says: string | RegExp]>([
    ["no image", images(git), "images[0].image", "is missing: The repository"],
    ["an image without a host", images("image: acme/api"), "images[0].image (line 3)", "docker.io/"],
    ["an image with a tag", images('image: "docker.io/acme/api:v1"'), "images[0].image (line 3)", "tag"],
    [
      "an image that is not followed",
      images("image: gcr.io/acme/api"),
      "images[0].image (line 3)",
      "`follow`",
    ],
    [
      "two entries of one image",
      images(image, image),
      "images[1].image (line 4)",
      "the same as images[0].image",
    ],
    ["a key misspelt", images(`${image}, polcy: tag`), "images[0].polcy (line 3)", "did you mean `policy`"],
    ["no branch", images(`${image}, git: { url: "https://a.io/b" }`), "images[0].git.branch", "is missing"],
    [
      "no URL",
      images(`${image}, git: { branch: main }`),
      "images[0].git.url",
      "is missing: The git repository",
    ],
    ["git that is text", images(`${image}, git: "https://a.io/b"`), "images[0].git (line 3)", "a mapping"],
    [
      "rebuilds in words",
      images(`${image}, git: { url: "https://a.io/b", branch: main, rebuilds: no way }`),
      "images[0].git.rebuilds (line 3)",
      "true or false",
    ],
    ...[
      "git@github.com:acme/api.git",
      "ssh://git@a.io/b",
      "acme/api",
      "https://a.io/",
      "file:///srv/git",
    ].map((text): [string, string, string, string] => [
      `${text} for a URL`,
      url(text),
      "images[0].git.url (line 3)",
      "is no address of a git repository",
    ]),
    ["a password in a URL", url("https://ci:hunter2@a.io/b"), "images[0].git.url (line 3)", "without user"],
    ["a query in a URL", url("https://a.io/b?token=1"), "images[0].git.url (line 3)", "`?`"],
    ...["", "refs/heads/main", "-x", "a..b", "main.lock", "a b", "a:b", "x~1", "main/", "a//b", "@{u}"].map(
      (text): [string, string, string, string] => [
        `the branch ${JSON.stringify(text)}`,
        branch(text),
        "images[0].git.branch (line 3)",
        "is no name of a branch",
      ],
    ),
    ["commits without git", images(`${image}, policy: commit`), "images[0].policy (line 3)", "needs `git`"],
    [
      "channels without git",
      images(`${image}, channels: [{ tag: prod }]`),
      "images[0].channels (line 3)",
      "needs `git`",
    ],
    ["a channel without a tag", channels("{ by: hand }"), "images[0].channels[0].tag", "is missing: The tag"],
    [
      "a channel that is no tag",
      channels("{ tag: prod/eu }"),
      "images[0].channels[0].tag (line 3)",
      "is no tag",
    ],
    ["a channel that is text", channels("prod"), "images[0].channels[0] (line 3)", "expected a mapping"],
    [
      "two channels of one tag",
      channels("{ tag: prod }", "{ tag: prod }"),
      "images[0].channels[1].tag (line 3)",
      "the same as channels[0].tag",
    ],
    [
      "a channel for a target that there is not",
      channels("{ tag: prod, targets: [gke] }"),
      "images[0].channels[0].targets[0] (line 3)",
      "names no entry of `targets`",
    ],
    [
      "a channel for no target",
      channels("{ tag: prod, targets: [] }"),
      "images[0].channels[0].targets (line 3)",
      "name at least one",
    ],
    [
      "a channel after none",
      channels("{ tag: prod, after: int }"),
      "images[0].channels[0].after (line 3)",
      "names no channel of this image that stands before",
    ],
    [
      "a channel after itself",
      channels("{ tag: prod, after: prod }"),
      "images[0].channels[0].after (line 3)",
      "stands before this one",
    ],
    [
      "channels after each other",
      channels("{ tag: int, after: prod }", "{ tag: prod, after: int }"),
      "images[0].channels[0].after (line 3)",
      "stands before this one",
    ],
    [
      "a soak after nothing",
      channels("{ tag: prod, soak: 30m }"),
      "images[0].channels[0].soak (line 3)",
      "needs `after`",
    ],
    [
      "a soak that nobody waits for",
      channels("{ tag: int }", "{ tag: prod, after: int, soak: 30m, by: hand }"),
      "images[0].channels[1].soak (line 3)",
      "no effect beside `by: hand`",
    ],
    [
      "a soak without a unit",
      channels("{ tag: int }", "{ tag: prod, after: int, soak: 30 }"),
      "images[0].channels[1].soak (line 3)",
      "expected text",
    ],
    [
      "a channel by somebody else",
      channels("{ tag: prod, by: ada }"),
      "images[0].channels[0].by (line 3)",
      "`hand`",
    ],
    [
      "a policy that is none",
      images(`${image}, policy: newest`),
      "images[0].policy (line 3)",
      "is no policy; write `tag`",
    ],
    [
      "a tag to ignore that is no expression",
      images(`${image}, ignoreTags: ["(a"]`),
      "images[0].ignoreTags[0] (line 3)",
      /\S/,
    ],
    [
      "tags to ignore that are text",
      images(`${image}, ignoreTags: "x"`),
      "images[0].ignoreTags (line 3)",
      "expected a list",
    ],
    [
      "two git hosts that are one",
      hosts("host: git.acme.io, kind: git", 'host: "Git.Acme.IO:443", kind: git'),
      "git[1].host (line 4)",
      "the same as git[0].host",
    ],
    [
      "a git host without a kind",
      hosts("host: git.acme.io"),
      "git[0].kind",
      "say `github`, `gitiles` or `git`",
    ],
    [
      "a git host of another kind",
      hosts("host: git.acme.io, kind: gitlab"),
      "git[0].kind (line 3)",
      "Expected `github`, `gitiles` or `git`",
    ],
    ["a git host with a path", hosts("host: git.acme.io/a, kind: git"), "git[0].host (line 3)", "is no host"],
    [
      "a user for GitHub",
      hosts("host: github.com, kind: github, username: a"),
      "git[0].username",
      "unknown key",
    ],
    [
      "a git user without a token",
      hosts("host: git.acme.io, kind: git, username: a"),
      "git[0].token",
      "is missing",
    ],
    [
      "a git host over http by mistake",
      hosts('host: git.acme.io, kind: git, url: "http://git.acme.io"'),
      "git[0].url (line 3)",
      "`plainHttp: true`",
    ],
  ])("are told of: %s", async (_name, text, path, says) => {
    const problems = await problemsOf(text);
    const said = problems.find((problem) => problem.startsWith(path));
    expect(said, `none of ${JSON.stringify(problems)} starts with ${path}`).toBeDefined();
    expect(said).toMatch(says);
    expect(problems.join("\n")).not.toContain("hunter2");
  });

  it("are told of all together, beside what is wrong elsewhere", async () => {
    const text = [
      follow,
      "git:",
      "  - { host: git.acme.io, kind: git, username: a }",
      "targets: []",
      "images:",
      "  - image: docker.io/acme/api",
      "    channels: [{ tag: prod, after: int, targets: [gke] }]",
      "    policy: commit",
      "registries: [{ host: gcr.io, auth: google }]",
    ].join("\n");
    expect((await problemsOf(text)).map((problem) => problem.split(/[ :]/)[0])).toEqual([
      "git[0].token",
      "images[0].channels",
      "images[0].channels[0].after",
      "images[0].channels[0].targets[0]",
      "images[0].policy",
      "registries[0].auth",
    ]);
  });
});

describe("the rule of an image", () => {
  const ruleOf = async (text: string, repository: Repository) =>
    imageRules(await parseConfig(text))(repository);

  it("is the defaults' without an entry: no order, no channels, nothing ignored", async () => {
    const { ignores, ...rule } = await ruleOf(
      `${follow}\ndefaults: { policy: semver }`,
      "docker.io/acme/web",
    );
    expect(rule).toEqual({ channels: [], policy: { kind: "semver", range: "*" } });
    expect(ignores("482077_3")).toBe(false);
  });

  it("is the first entry's that matches", async () => {
    const text = images(
      "image: docker.io/acme/web, policy: none",
      'image: "docker.io/acme/*", policy: semver',
    );
    expect((await ruleOf(text, "docker.io/acme/web")).policy).toEqual({ kind: "none" });
    expect((await ruleOf(text, "docker.io/acme/other")).policy).toEqual({ kind: "semver", range: "*" });
  });

  it("has channels in ms, and by themselves where nothing else is said", async () => {
    const text = channels(
      "{ tag: int }",
      "{ tag: prod, after: int, soak: 1h30m }",
      "{ tag: demo, by: hand }",
    );
    const { channels: rules, git: at } = await ruleOf(text, "docker.io/acme/api");
    expect(rules).toEqual([
      { tag: "int", soakMs: 0, byHand: false },
      { tag: "prod", after: "int", soakMs: 5_400_000, byHand: false },
      { tag: "demo", soakMs: 0, byHand: true },
    ]);
    expect(at).toEqual({ url: "https://github.com/acme/api", branch: "main", rebuilds: true });
  });

  it("takes tags of changes under review for nothing to deploy, unless it names its own", async () => {
    const usual = await ruleOf(images(image), "docker.io/acme/api");
    expect(["482077_3", "v1.2.3"].map(usual.ignores)).toEqual([true, false]);
    const own = await ruleOf(images(`${image}, ignoreTags: [rc]`), "docker.io/acme/api");
    expect(["482077_3", "v1.2.3-rc1"].map(own.ignores)).toEqual([false, true]);
    const none = await ruleOf(images(`${image}, ignoreTags: []`), "docker.io/acme/api");
    expect(none.ignores("482077_3")).toBe(false);
  });
});
