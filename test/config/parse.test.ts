import { readFile } from "node:fs/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { configHash, parseConfig, textsOf } from "../../shared/config/parse.ts";
import { configJsonSchema } from "../../shared/config/schema.ts";
import { ConfigError } from "../../shared/errors.ts";

const follow = 'follow: ["docker.io/acme/*"]';

async function problemsOf(text: string): Promise<readonly string[]> {
  try {
    await parseConfig(text);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

async function documented(): Promise<string> {
  const page = await readFile(`${import.meta.dirname}/../../docs/configuration.md`, "utf8");
  return /```yaml\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
}

describe("a configuration", () => {
  it("needs nothing but what it follows, and has defaults for the rest", async () => {
    expect(await parseConfig(follow)).toEqual({
      follow: ["docker.io/acme/*"],
      webhooks: [],
      registries: [],
      git: [],
      targets: [],
      images: [],
      defaults: {
        policy: { kind: "tag" },
        mode: "act",
        verify: { timeout: 600_000, stableFor: 15_000 },
        rollback: true,
        maxDriftShare: 0.2,
        maxParallel: 4,
      },
      freezes: [],
      notify: [],
      reconcile: { auth: [] },
    });
  });

  it("is as the documentation shows it", async () => {
    const config = await parseConfig(await documented());
    expect(config.targets.map(({ name, kind }) => `${name} ${kind}`)).toEqual([
      "swarm-prod swarmpit",
      "swarm-int swarm",
      "here swarm",
      "gke-prod kubernetes",
      "edge kubernetes",
      "lab kubernetes",
      "home kubernetes",
    ]);
    expect(config.git.map(({ host, kind }) => `${host} ${kind}`)).toEqual([
      "github.com github",
      "acme.googlesource.com gitiles",
      "git.acme.io:8443 git",
      "127.0.0.1:3000 git",
    ]);
    expect(config.images.map(({ image, channels }) => [image, ...channels.map(({ tag }) => tag)])).toEqual([
      ["docker.io/acme/api", "int", "prod", "demo"],
      ["docker.io/acme/tools-*"],
    ]);
    expect(config.defaults).toEqual((await parseConfig(follow)).defaults);
  });

  it("is documented with every key of its schema", async () => {
    const text = await documented();
    const keys = schemaNodes().flatMap(({ node }) => Object.keys(record(node.properties)));
    expect(keys.length).toBeGreaterThan(20);
    expect([...new Set(keys)].filter((key) => !new RegExp(`\\b${key}:`).test(text))).toEqual([]);
  });

  it("has a description for every key of its schema", () => {
    const keys = schemaNodes().flatMap(({ node, at }) =>
      Object.entries(record(node.properties)).map(([key, child]) => ({
        at: `${at}.${key}`,
        child: record(child),
      })),
    );
    expect(keys.length).toBeGreaterThan(20);
    expect(keys.filter(({ child }) => typeof child.description !== "string").map(({ at }) => at)).toEqual([]);
  });
});

describe("a configuration with mistakes", () => {
  const one = (target: string) => `${follow}\ntargets:\n  - ${target}`;
  const webhook = (entry: string) => `${follow}\nwebhooks:\n  - ${entry}`;
  const registry = (entry: string) => `${follow}\nregistries:\n  - ${entry}`;
  const freeze = (entry: string) => `${follow}\nfreezes:\n  - ${entry}`;
  const swarm = 'kind: swarm, host: "unix:///var/run/docker.sock"';

  it.each<[name: string, text: string, path: string, says: string | RegExp]>([
    ["no key at all", "", "the file", "must be a mapping"],
    ["a list", "- follow", "the file", "must be a mapping"],
    ["nothing to follow", "targets: []", "follow:", "is missing"],
    ["an empty list to follow", "follow: []", "follow (line 1)", "name at least one"],
    ["an empty value to follow", "follow:", "follow (line 1)", "is empty"],
    ["text where a list belongs", "follow: docker.io/acme/*", "follow (line 1)", "is text; expected a list"],
    ["a name without a host", 'follow: ["acme/web"]', "follow[0] (line 1)", "docker.io/"],
    ["an unknown key", `${follow}\nregistrys: []`, "registrys (line 2)", "did you mean `registries`"],
    [
      "an unknown key that is like none",
      `${follow}\nxyzzy: 1`,
      "xyzzy (line 2)",
      "known here: follow, webhooks",
    ],
    [
      "a key beside its colon",
      registry("{ host: a.io, password:abc }"),
      "registries[0] (line 3)",
      "space missing",
    ],
    [
      "a freeze in words",
      freeze("{ cron: friday evening, duration: 60h, timezone: UTC }"),
      "freezes[0].cron (line 3)",
      "five fields",
    ],
    [
      "a freeze with seconds",
      freeze('{ cron: "0 0 18 * * 5", duration: 60h, timezone: UTC }'),
      "freezes[0].cron (line 3)",
      "five fields",
    ],
    [
      "a freeze that never begins",
      freeze('{ cron: "0 0 31 4 *", duration: 60h, timezone: UTC }'),
      "freezes[0].cron (line 3)",
      "ever begins",
    ],
    [
      "a freeze without an end",
      freeze('{ cron: "0 18 * * 5", timezone: UTC }'),
      "freezes[0].duration (line 3)",
      "is missing: How long it lasts",
    ],
    [
      "a freeze in nobody's time",
      freeze('{ cron: "0 18 * * 5", duration: 60h, timezone: Europe/Springfield }'),
      "freezes[0].timezone (line 3)",
      "is no time zone",
    ],
    [
      "a freeze of no target",
      freeze('{ targets: [], cron: "0 18 * * 5", duration: 60h, timezone: UTC }'),
      "freezes[0].targets (line 3)",
      "name at least one",
    ],
    [
      "a freeze of a target that is not there",
      `${freeze('{ targets: [prodd], cron: "0 18 * * 5", duration: 60h, timezone: UTC }')}
targets: [{ name: prod, ${swarm} }]`,
      "freezes[0].targets[0] (line 3)",
      "names no entry of `targets`",
    ],
    [
      "a rollback in words",
      `${follow}\ndefaults: { rollback: sometimes }`,
      "defaults.rollback (line 2)",
      "expected",
    ],
    [
      "a drift guard in per cent",
      `${follow}\ndefaults: { maxDriftShare: 20 }`,
      "defaults.maxDriftShare (line 2)",
      "at most 1",
    ],
    [
      "Google's credentials",
      registry("{ host: gcr.io, auth: google }"),
      "registries[0].auth (line 3)",
      "not in this version",
    ],
    [
      "a policy misspelt",
      `${follow}\ndefaults: { policy: tags }`,
      "defaults.policy (line 2)",
      "is no policy; write `tag`, `none`",
    ],
    [
      "a policy of other tools",
      `${follow}\ndefaults: { policy: force }`,
      "defaults.policy (line 2)",
      "is what others call it; write `tag`",
    ],
    [
      "a policy that is a list",
      `${follow}\ndefaults: { policy: [tag] }`,
      "defaults.policy (line 2)",
      "is a list; expected text",
    ],
    [
      "a policy that nobody writes",
      `${follow}\ndefaults: { policy: channel }`,
      "defaults.policy (line 2)",
      "is never written",
    ],
    [
      "a range that is none",
      `${follow}\ndefaults: { policy: "semver:1,2" }`,
      "defaults.policy (line 2)",
      "has a range that",
    ],
    [
      "a pattern without an order",
      `${follow}\ndefaults: { policy: "pattern:^v.*$" }`,
      "defaults.policy (line 2)",
      "has no group that orders tags",
    ],
    [
      "a source to come",
      webhook("{ source: harbor, secrets: [x] }"),
      "webhooks[0].source (line 3)",
      "`harbor` is not in this version",
    ],
    [
      "a source misspelt",
      webhook("{ source: dockrhub, secrets: [x] }"),
      "webhooks[0].source (line 3)",
      "did you mean `dockerhub`",
    ],
    ["no secret", webhook("{ source: dockerhub, secrets: [] }"), "webhooks[0].secrets (line 3)", "is empty"],
    [
      "three secrets",
      webhook("{ source: dockerhub, secrets: [a, b, c] }"),
      "webhooks[0].secrets (line 3)",
      "two",
    ],
    [
      "a secret that is a number",
      webhook("{ source: dockerhub, secrets: [123] }"),
      "webhooks[0].secrets[0] (line 3)",
      "in quotes",
    ],
    [
      "a webhook's repository without a host",
      webhook("{ source: dockerhub, secrets: [x], repositories: [web] }"),
      "webhooks[0].repositories[0] (line 3)",
      "docker.io/",
    ],
    [
      "two registries on one host",
      registry("{ host: docker.io }\n  - { host: Index.Docker.IO }"),
      "registries[1].host (line 4)",
      "the same as registries[0].host",
    ],
    [
      "a user without a password",
      registry("{ host: a.io, username: u }"),
      "registries[0].password",
      /password/,
    ],
    [
      "neither of several forms",
      registry("{ host: a.io, nodes: { username: u, passwrd: p } }"),
      "registries[0].nodes.passwrd (line 3)",
      "did you mean `password`",
    ],
    [
      "two targets of one name",
      one(`{ name: a, ${swarm} }\n  - { name: a, ${swarm} }`),
      "targets[1].name (line 4)",
      "the same as targets[0].name",
    ],
    ["a target's name with a slash", one(`{ name: a/b, ${swarm} }`), "targets[0].name (line 3)", "`/`"],
    [
      "a target's name with a space",
      one(`{ name: "a b", ${swarm} }`),
      "targets[0].name (line 3)",
      "letters, digits",
    ],
    [
      "a target without a kind",
      one("{ name: a }"),
      "targets[0].kind (line 3)",
      "is missing; say `swarm`, `swarmpit` or `kubernetes`",
    ],
    [
      "a target without a host",
      one("{ name: a, kind: swarm }"),
      "targets[0].host (line 3)",
      "is missing: A manager's",
    ],
    [
      "a key of another kind",
      one(`{ name: a, ${swarm}, token: x }`),
      "targets[0].token (line 3)",
      "unknown key",
    ],
    [
      "a mode misspelt",
      one(`{ name: a, ${swarm}, mode: observ }`),
      "targets[0].mode (line 3)",
      "did you mean `observe`",
    ],
    [
      "a duration without a unit",
      `${follow}\ndefaults: { verify: { timeout: 10 } }`,
      "defaults.verify.timeout (line 2)",
      "expected text",
    ],
    [
      "a duration in words",
      `${follow}\ndefaults: { verify: { timeout: 10 minutes } }`,
      "defaults.verify.timeout (line 2)",
      "`10m`",
    ],
    [
      "a window longer than the deadline",
      `${follow}\ndefaults: { verify: { stableFor: 11m } }`,
      "defaults.verify.stableFor (line 2)",
      "longer than",
    ],
    [
      "no rollout at once",
      `${follow}\ndefaults: { maxParallel: 0 }`,
      "defaults.maxParallel (line 2)",
      "1 or more",
    ],
    [
      "half a rollout at once",
      `${follow}\ndefaults: { maxParallel: 1.5 }`,
      "defaults.maxParallel (line 2)",
      "whole number",
    ],
    [
      "a proof misspelt",
      `${follow}\nreconcile: { auth: [{ kind: google_oidc }] }`,
      "reconcile.auth[0].kind (line 2)",
      "did you mean `google-oidc`",
    ],
    [
      "a proof without an account",
      `${follow}\nreconcile: { auth: [{ kind: google-oidc, audience: a }] }`,
      "reconcile.auth[0].email (line 2)",
      "is missing: The service account",
    ],
    [
      "a template that is not closed",
      webhook('{ source: dockerhub, secrets: ["${HOOK"] }'),
      "webhooks[0].secrets[0] (line 3)",
      "not closed",
    ],
    [
      "a template without a name",
      webhook('{ source: dockerhub, secrets: ["${}"] }'),
      "webhooks[0].secrets[0] (line 3)",
      "names no variable",
    ],
    [
      "a template with a default",
      webhook('{ source: dockerhub, secrets: ["${A:-b}"] }'),
      "webhooks[0].secrets[0] (line 3)",
      "names no variable",
    ],
    [
      "a template without a file",
      webhook('{ source: dockerhub, secrets: ["${file:}"] }'),
      "webhooks[0].secrets[0] (line 3)",
      "names no file",
    ],
  ])("says so of %s", async (_name, text, path, says) => {
    const problems = await problemsOf(text);
    const said = problems.find((problem) => problem.startsWith(path));
    expect(said, `none of ${JSON.stringify(problems)} starts with ${path}`).toBeDefined();
    expect(said).toMatch(says);
  });

  it.each<[name: string, text: string, says: RegExp]>([
    [
      "a bracket left open",
      'follow: ["docker.io/acme/*"\ntargets: []',
      /^line 2, column 1: .*bracket above is not closed/,
    ],
    ["a star without quotes", "follow: [*]", /^line 1, column 10: .*in quotes/],
    ["a key that stands twice", `${follow}\nfollow: []`, /^line 2, column 1: this key stands twice/],
    ["a tab as indentation", "defaults:\n\tmode: act", /^line 2, column 1: a tab indents/],
    ["a colon in the text", "follow: a: b", /^line 1, column 9: /],
    ["a type of its own", "follow: !!js/function x", /^line 1, column 9: .*`!`/],
    ["a key that is a list", `${follow}\n? [a]\n: b`, /^line 2, column \d+: .*key must be text/],
    ["a second document", `${follow}\n---\n${follow}`, /^line 2, column \d+: a second document/],
    ["an alias without its anchor", "follow: *nowhere", /alias/],
    ["a megabyte", `${follow} # ${"x".repeat(1024 * 1024)}`, /longer than 1 MiB/],
    ["brackets ten thousand deep", "[".repeat(10_000), /^line 1, column \d+: /],
  ])("tells where %s is", async (_name, text, says) => {
    expect((await problemsOf(text)).join("\n")).toMatch(says);
  });

  it("refuses aliases that multiply", async () => {
    const levels = Array.from({ length: 8 }, (_, index) => {
      const from = index === 0 ? '"x"' : `*a${index - 1}`;
      return `a${index}: &a${index} [${Array.from({ length: 9 }, () => from).join(", ")}]`;
    });
    expect(await problemsOf([...levels, follow].join("\n"))).toEqual([
      expect.stringMatching(/aliases are used more than 100 times/),
    ]);
  });

  it("refuses an alias within its own anchor", async () => {
    expect(await problemsOf(`${follow}\nwebhooks: &a\n  - *a`)).toEqual([
      expect.stringMatching(/within its own/),
    ]);
  });

  it("tells of all of them together, in the order of the file", async () => {
    const problems = await problemsOf(
      [
        "follow: [web]",
        "targets:",
        "  - { name: a, kind: swarm }",
        "  - { name: a, kind: swarmpitt }",
        "registries: [{ host: a.io, auth: google }]",
        "defaults: { mode: acts }",
      ].join("\n"),
    );
    expect(problems.map((problem) => problem.split(" ")[0])).toEqual([
      "follow[0]",
      "targets[0].host",
      "targets[1].kind",
      "targets[1].name",
      "registries[0].auth",
      "defaults.mode",
    ]);
  });

  it("never shows a value, wherever a mistake puts it", async () => {
    const secret = "hunter2-4c46414c";
    const whole = await documented();
    const places = [...textsOf(await parseConfig(whole))].length;
    expect(places).toBeGreaterThan(30);
    const mistake = fc.constantFrom(
      (line: string) => line.replace(/: .*$/, `: ${secret}`),
      (line: string) => line.replace(/: .*$/, `: "${secret}`),
      (line: string) => line.replace(/: .*$/, `: [${secret}`),
      (line: string) => line.replace(/: .*$/, `: {${secret}: ${secret}}`),
      (line: string) => line.replace(/: .*$/, `:${secret}`),
      (line: string) => line.replace(/: .*$/, `: !${secret} x`),
      (line: string) => line.replace(/: .*$/, `: *${secret}`),
      (line: string) => line.replace(/: .*$/, `: \${${secret}`),
      (line: string) => line.replace(/: .*$/, `: "\${${secret}}"`),
      (line: string) => line.replace(/: .*$/, `: a: ${secret}`),
      (line: string) => line.replace(/: .*$/, `: [${secret}, ${secret}, ${secret}]`),
      (line: string) => `${line}\n${secret}`,
      (line: string) => `${line}\n\t${secret}: ${secret}`,
    );
    let seen = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(), mistake), { minLength: 1, maxLength: 4 }),
        async (mistakes) => {
          const lines = whole.split("\n");
          for (const [place, mistaken] of mistakes) {
            const at = place % lines.length;
            lines[at] = mistaken(lines[at] ?? "");
          }
          const problems = await problemsOf(lines.join("\n"));
          seen += problems.length;
          expect(problems.join("\n")).not.toContain(secret);
        },
      ),
      { numRuns: 300 },
    );
    expect(seen).toBeGreaterThan(0);
  });
});

describe("a configuration's hash", () => {
  const hash = async (text: string) => configHash(await parseConfig(text));

  it("does not depend on order, comments or defaults spelled out", async () => {
    const plain = await hash(`${follow}\ndefaults: { mode: observe, maxParallel: 2 }`);
    expect(plain).toMatch(/^[0-9a-f]{12}$/);
    expect(
      await hash(`# spelled out\ndefaults: { policy: tag, maxParallel: 2, mode: observe }\n${follow}`),
    ).toBe(plain);
    expect(
      await hash(`${follow}\ndefaults: { mode: observe, maxParallel: 2, verify: { timeout: 600s } }`),
    ).toBe(plain);
  });

  it("changes with what is followed and with what a secret's template names", async () => {
    const texts = [
      follow,
      'follow: ["docker.io/acme/web"]',
      `${follow}\nwebhooks: [{ source: dockerhub, secrets: ["\${A}"] }]`,
      `${follow}\nwebhooks: [{ source: dockerhub, secrets: ["\${B}"] }]`,
    ];
    expect(new Set(await Promise.all(texts.map(hash))).size).toBe(texts.length);
  });
});

/** Every object in the JSON Schema, with its place. */
function schemaNodes(): readonly { readonly at: string; readonly node: Readonly<Record<string, unknown>> }[] {
  const walk = (value: unknown, at: string): ReturnType<typeof schemaNodes> => {
    if (Array.isArray(value)) return value.flatMap((item, index) => walk(item, `${at}[${index}]`));
    if (typeof value !== "object" || value === null) return [];
    const node = record(value);
    return [{ at, node }, ...Object.entries(node).flatMap(([key, child]) => walk(child, `${at}/${key}`))];
  };
  return walk(configJsonSchema(), "");
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
