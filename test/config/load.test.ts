import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { BusSetting } from "../../shared/bus/config.ts";
import { type Environment, environment, loadConfig, missingSecrets } from "../../shared/config/load.ts";
import { ConfigError } from "../../shared/errors.ts";
import type { LedgerSetting } from "../../shared/ledger/config.ts";

const yaml = `
follow: ["docker.io/acme/*"]
webhooks:
  - { source: dockerhub, secrets: ["\${HOOK}", "\${HOOK}"] }
targets:
  - { name: s, kind: swarmpit, url: "https://s.example/api", token: "Bearer \${file:/run/token}", headers: { X-A: "$\${A}-\${A}" } }
`;

function files(contents: Readonly<Record<string, string>>): (path: string) => string {
  return (path) => {
    const text = path === "landfall.yaml" ? yaml : contents[path];
    if (text === undefined) throw Object.assign(new Error("no such file"), { code: "ENOENT" });
    return text;
  };
}

function problemsOf(act: () => unknown): readonly string[] {
  try {
    act();
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

describe("a secret", () => {
  const load = (env: Readonly<Record<string, string>>, read = files({ "/run/token": "t0k3n\n" })) =>
    loadConfig({ path: "landfall.yaml", env, read });

  it("is a variable, a file without its last line end, a literal, or all of them together", async () => {
    const { secret } = await load({ HOOK: "h00k", A: "a" });
    expect(secret("${HOOK}")()).toBe("h00k");
    expect(secret("Bearer ${file:/run/token}")()).toBe("Bearer t0k3n");
    expect(secret("$${A}-${A}")()).toBe("${A}-a");
    expect(secret("literal $& $1")()).toBe("literal $& $1");
  });

  it.each([
    ["one\n", "one"],
    ["one\r\n", "one"],
    ["one\n\n", "one\n"],
    [" one ", " one "],
  ])("is the file's text %j as %j", async (text, value) => {
    const { secret } = await load({}, files({ "/run/token": text }));
    expect(secret("${file:/run/token}")()).toBe(value);
  });

  it("has a value that is never read as a template again", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ minLength: 1 }), async (value) => {
        const { secret } = await load({ HOOK: value });
        expect(secret("<${HOOK}>")()).toBe(`<${value}>`);
      }),
    );
  });

  it("is looked up when it is used and never before", async () => {
    const { secret } = await load({}, (path) => {
      if (path !== "landfall.yaml") throw new Error("read too early");
      return yaml;
    });
    expect(() => secret("${file:/run/token}")).not.toThrow();
  });

  it.each<[name: string, template: string, problem: string]>([
    [
      "a variable that is not set",
      "${HOOK}",
      "webhooks[0].secrets[0], webhooks[0].secrets[1]: the environment variable HOOK is not set",
    ],
    [
      "a file that is not there",
      "Bearer ${file:/run/token}",
      "targets[0].token: the file /run/token cannot be read (ENOENT)",
    ],
    [
      "a variable of a header",
      "$${A}-${A}",
      'targets[0].headers["X-A"]: the environment variable A is not set',
    ],
  ])("names its key and itself when it is %s", async (_name, template, problem) => {
    const { secret } = await load({}, files({}));
    expect(problemsOf(secret(template))).toEqual([problem]);
  });

  it.each<[name: string, env: Readonly<Record<string, string>>, text: string, template: string]>([
    ["variable", { HOOK: "" }, "x", "${HOOK}"],
    ["file", {}, "\n", "${file:/run/token}"],
  ])("is refused when its %s is empty", async (_name, env, text, template) => {
    const { secret } = await load(env, files({ "/run/token": text }));
    expect(problemsOf(secret(template))).toEqual([expect.stringMatching(/is empty$/)]);
  });

  it("that is missing is told with all others that are", async () => {
    const loaded = await load({ A: "a" }, files({}));
    expect(missingSecrets(loaded)).toEqual([
      "webhooks[0].secrets[0], webhooks[0].secrets[1]: the environment variable HOOK is not set",
      "targets[0].token: the file /run/token cannot be read (ENOENT)",
    ]);
    expect(missingSecrets(await load({ A: "a", HOOK: "h" }))).toEqual([]);
  });
});

describe("a file on the disk", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "landfall-config-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("is read again when it was written or replaced", async () => {
    const path = join(folder, "landfall.yaml");
    const token = join(folder, "token");
    await writeFile(
      path,
      `follow: ["docker.io/acme/*"]\nreconcile: { auth: [{ kind: bearer, token: "\${file:${token}}" }] }`,
    );
    const { secret } = await loadConfig({ path, env: {} });
    const value = secret(`\${file:${token}}`);
    await writeFile(token, "first\n");
    expect(value()).toBe("first");
    await writeFile(token, "the second\n");
    expect(value()).toBe("the second");
    await writeFile(`${token}.new`, "third, same\n");
    await rename(`${token}.new`, token);
    expect(value()).toBe("third, same");
    await rm(token);
    expect(problemsOf(value)).toEqual([`reconcile.auth[0].token: the file ${token} cannot be read (ENOENT)`]);
  });

  it("that is not there is named", async () => {
    const path = join(folder, "nowhere.yaml");
    await expect(loadConfig({ path, env: {} })).rejects.toMatchObject({
      code: "CONFIG",
      problems: [`the configuration file ${path} cannot be read (ENOENT)`],
    });
  });
});

describe("the environment", () => {
  it("has defaults, and an empty variable is one that is not set", () => {
    const defaults = {
      config: undefined,
      ledger: { kind: "file", path: ".landfall/ledger.db" },
      bus: { kind: "inline" },
      pubsub: { project: undefined, emulatorHost: undefined, metadataHost: undefined },
      port: 8080,
    };
    expect(environment({})).toEqual(defaults);
    expect(environment({ LANDFALL_CONFIG: "", LANDFALL_LEDGER: "", LANDFALL_BUS: "", PORT: "" })).toEqual(
      defaults,
    );
  });

  it("names the file, the ledger, the bus and the port", () => {
    expect(
      environment({
        LANDFALL_CONFIG: "l.yaml",
        LANDFALL_LEDGER: "memory:",
        LANDFALL_BUS: "inline:",
        PORT: "0",
      }),
    ).toMatchObject({ config: "l.yaml", ledger: { kind: "memory" }, bus: { kind: "inline" }, port: 0 });
    expect(environment({ LANDFALL_LEDGER: "file:/var/lib/landfall.db" }).ledger).toEqual({
      kind: "file",
      path: "/var/lib/landfall.db",
    });
  });

  it.each<{ name: string; env: Environment; ledger: LedgerSetting }>([
    { name: "the credentials' project", env: ledgerIs("firestore:"), ledger: { kind: "firestore" } },
    {
      name: "a project",
      env: ledgerIs("firestore:example.com:acme-prod"),
      ledger: { kind: "firestore", projectId: "example.com:acme-prod" },
    },
    {
      name: "a project and a database",
      env: ledgerIs("firestore:acme-prod/landfall"),
      ledger: { kind: "firestore", projectId: "acme-prod", databaseId: "landfall" },
    },
    {
      name: "a database of the environment's project",
      env: { ...ledgerIs("firestore:/(default)"), GOOGLE_CLOUD_PROJECT: "acme" },
      ledger: { kind: "firestore", projectId: "acme", databaseId: "(default)" },
    },
    {
      name: "by default an emulator, where one is named",
      env: { FIRESTORE_EMULATOR_HOST: "127.0.0.1:8085" },
      ledger: { kind: "firestore", projectId: "demo-landfall", emulatorHost: "127.0.0.1:8085" },
    },
    {
      name: "by default the project's own on Cloud Run",
      env: { K_SERVICE: "builds", GOOGLE_CLOUD_PROJECT: "acme" },
      ledger: { kind: "firestore", projectId: "acme" },
    },
  ])("names a Firestore ledger: $name", ({ env, ledger }) => {
    expect(environment(env).ledger).toEqual(ledger);
  });

  it("prefers the ledger that is named to an emulator", () => {
    const env = { ...ledgerIs("memory:"), FIRESTORE_EMULATOR_HOST: "127.0.0.1:8085" };
    expect(environment(env).ledger).toEqual({ kind: "memory" });
  });

  it.each<{ bus: string; setting: BusSetting }>([
    { bus: "pubsub:landfall", setting: { kind: "pubsub", topic: { project: undefined, id: "landfall" } } },
    {
      bus: "pubsub:projects/example.com:acme/topics/landfall.v1~x",
      setting: { kind: "pubsub", topic: { project: "example.com:acme", id: "landfall.v1~x" } },
    },
    {
      bus: "pubsub-pull:landfall-builds",
      setting: {
        kind: "pubsub-pull",
        subscription: { project: undefined, id: "landfall-builds" },
        topic: undefined,
      },
    },
    {
      bus: "pubsub-pull:projects/acme/subscriptions/builds?topic=projects/acme/topics/landfall",
      setting: {
        kind: "pubsub-pull",
        subscription: { project: "acme", id: "builds" },
        topic: { project: "acme", id: "landfall" },
      },
    },
  ])("names a Pub/Sub bus: $bus", ({ bus, setting }) => {
    expect(environment({ LANDFALL_BUS: bus }).bus).toEqual(setting);
  });

  it("tells where Pub/Sub is by the variables of Google's own libraries", () => {
    const env = { PUBSUB_EMULATOR_HOST: "127.0.0.1:8085", GCE_METADATA_HOST: "169.254.169.254" };
    expect(environment({ ...env, GCLOUD_PROJECT: "acme" }).pubsub).toEqual({
      project: "acme",
      emulatorHost: "127.0.0.1:8085",
      metadataHost: "169.254.169.254",
    });
    expect(environment({ GOOGLE_CLOUD_PROJECT: "new", GCLOUD_PROJECT: "old" }).pubsub.project).toBe("new");
  });

  it.each([
    ["LANDFALL_LEDGER", "firestore", /firestore:PROJECT/],
    ["LANDFALL_LEDGER", "memory:x", /memory:/],
    ["LANDFALL_LEDGER", "firestore:Project", /firestore:PROJECT/],
    ["LANDFALL_LEDGER", "firestore:p/d/e", /firestore:PROJECT/],
    ["LANDFALL_LEDGER", "firestore:my-project/..", /firestore:PROJECT/],
    ["LANDFALL_LEDGER", "firestore:my-project/", /firestore:PROJECT/],
    ["LANDFALL_LEDGER", "file:", /file:PATH/],
    ["LANDFALL_LEDGER", "/var/lib/landfall.db", /file:PATH/],
    ["LANDFALL_BUS", "kafka:", /`inline:`, `pubsub:TOPIC`, or `pubsub-pull:SUBSCRIPTION`/],
    ["LANDFALL_BUS", "inline:x", /inline:/],
    ["LANDFALL_BUS", "pubsub", /pubsub:TOPIC/],
    ["LANDFALL_BUS", "pubsub:", /pubsub:TOPIC/],
    ["LANDFALL_BUS", "pubsub:t1", /pubsub:TOPIC/],
    ["LANDFALL_BUS", "pubsub:1topic", /pubsub:TOPIC/],
    ["LANDFALL_BUS", "pubsub:google-topic", /pubsub:TOPIC/],
    ["LANDFALL_BUS", "pubsub:a/topic", /pubsub:TOPIC/],
    ["LANDFALL_BUS", "pubsub:projects/p/subscriptions/builds", /pubsub:TOPIC/],
    ["LANDFALL_BUS", "pubsub:projects/p/topics/", /pubsub:TOPIC/],
    ["LANDFALL_BUS", "pubsub-pull:", /pubsub-pull:SUBSCRIPTION/],
    ["LANDFALL_BUS", "pubsub-pull:projects/p/topics/landfall", /pubsub-pull:SUBSCRIPTION/],
    ["LANDFALL_BUS", "pubsub-pull:builds?topic=", /topic=TOPIC/],
    ["LANDFALL_BUS", "pubsub-pull:builds?topic=one?topic=two", /topic=TOPIC/],
    ["PORT", "http", /0 to 65535/],
    ["PORT", "65536", /0 to 65535/],
    ["PORT", "-1", /0 to 65535/],
  ])("refuses %s=%s", (name, value, says) => {
    const problems = problemsOf(() => environment({ [name]: value }));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(says);
    expect(problems[0]).toMatch(new RegExp(`^${name}: `));
  });

  it("tells of everything that is wrong together", () => {
    expect(
      problemsOf(() => environment({ LANDFALL_LEDGER: "x", LANDFALL_BUS: "y", PORT: "z" })),
    ).toHaveLength(3);
  });
});

function ledgerIs(text: string): Environment {
  return { LANDFALL_LEDGER: text };
}
