import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { runCli } from "../../functions/cli/main.ts";
import type { SandboxAuth } from "../../functions/local/sandbox/registry/auth.ts";
import {
  type SandboxRegistry,
  startSandboxRegistry,
} from "../../functions/local/sandbox/registry/registry.ts";
import { inlineBus } from "../../shared/bus/inline.ts";
import { systemClock } from "../../shared/clock.ts";
import { asBuild, ImageBuild } from "../../shared/domain/build.ts";
import { ConfigError } from "../../shared/errors.ts";
import { embeddedLedger } from "../../shared/ledger/embedded.ts";
import { errorBody, type Google, startGoogle } from "../doubles/google.ts";

const commit = "840ee5a432444a504020e1ec3b25e2e3f4763e7b";
const login = { username: "ci", password: "pa:ss wörd" };
const encoded = Buffer.from(`${login.username}:${login.password}`).toString("base64");

let folder: string;
let ledgerPath: string;
let registry: SandboxRegistry;
let google: Google;
/** What the command waited, ms. */
let waits: number[];
let env: Record<string, string>;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "landfall-publish-"));
  ledgerPath = join(folder, "ledger.db");
  await embeddedLedger(ledgerPath, systemClock).close();
  env = { HOME: folder, LANDFALL_LEDGER: `file:${ledgerPath}` };
  registry = await startSandboxRegistry();
  google = await startGoogle();
  waits = [];
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await registry.stop();
  await google.close();
  await rm(folder, { recursive: true });
});

/** Runs the command line; sleeping takes no time, and what is waited for may happen meanwhile: then there is a ledger too. */
async function landfall(words: readonly string[], during?: () => unknown) {
  let elapsedMs = 0;
  const printed = await runCli(words, {
    env,
    clock: {
      now: () => Date.now() + elapsedMs,
      monotonic: () => performance.now() + elapsedMs,
      sleep: async (ms) => {
        waits.push(ms);
        elapsedMs += ms;
        await during?.();
      },
    },
    progress: () => {},
    openLedger: async () => {
      if (during === undefined) throw new ConfigError(["there is no ledger here"]);
      return embeddedLedger(ledgerPath, systemClock);
    },
  });
  return { ...printed, json: () => JSON.parse(printed.out) };
}

const image = (tag = commit) => `${registry.host}/acme/api:${tag}`;

/** Everything that was published to the inline bus, and under which id it is delivered. */
async function delivered(): Promise<readonly { readonly id: string; readonly json: unknown }[]> {
  const bus = inlineBus({ store: ledgerPath, clock: systemClock });
  const heard: { id: string; json: unknown }[] = [];
  const delivering = bus.deliver(async ({ message }) => {
    heard.push({
      id: message.messageId,
      json: JSON.parse(Buffer.from(message.data, "base64").toString("utf8")),
    });
    return "ack";
  });
  await delivering.idle();
  await bus.close();
  return heard;
}

async function restartWith(auth: SandboxAuth): Promise<void> {
  await registry.stop();
  registry = await startSandboxRegistry({ auth });
}

async function writeIn(file: string, text: string): Promise<string> {
  const path = join(folder, file);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
  return path;
}

describe("landfall publish", () => {
  it("publishes the digest that the registry has, and what CI says of the build", async () => {
    const digest = registry.push("acme/api", commit);
    env = {
      ...env,
      GITHUB_SHA: commit.replaceAll("8", "9"),
      GITHUB_REF_TYPE: "branch",
      GITHUB_REF_NAME: "main",
      GITHUB_SERVER_URL: "https://github.com",
      GITHUB_REPOSITORY: "acme/api",
      GITHUB_RUN_ID: "7",
    };
    const { code, json } = await landfall(["publish", image(), "--json"]);
    const message = {
      image: `${registry.host}/acme/api`,
      tag: commit,
      digest,
      commit,
      branch: "main",
      repo: "https://github.com/acme/api",
      buildUrl: "https://github.com/acme/api/actions/runs/7",
    };
    expect(code).toBe(0);
    const [heard, ...more] = await delivered();
    expect([heard?.json, more]).toEqual([message, []]);
    expect(json()).toEqual({
      published: true,
      to: ledgerPath,
      messageId: heard?.id,
      event: `build-${heard?.id}`,
      message,
    });
    expect(ImageBuild.safeParse(asBuild(heard?.json)).success).toBe(true);
  });

  it("takes options before everything else, and leaves credentials out of addresses", async () => {
    const digest = registry.push("acme/api", "v1");
    env = { ...env, CI_COMMIT_SHA: "f".repeat(40), CI_COMMIT_BRANCH: "other" };
    const options = `--commit ${commit} --branch main --repo https://u:xyzzy@git.acme.io/api --dirty`.split(
      " ",
    );
    const { out } = await landfall([
      "publish",
      image("v1"),
      ...options,
      "--build-url",
      "https://ci.acme.io/1",
    ]);
    expect((await delivered()).map(({ json }) => json)).toEqual([
      {
        image: `${registry.host}/acme/api`,
        tag: "v1",
        digest,
        commit,
        branch: "main",
        repo: "https://git.acme.io/api",
        buildUrl: "https://ci.acme.io/1",
        dirty: true,
      },
    ]);
    expect(out).toContain(`commit  ${commit} (--commit)`);
    expect(out).not.toContain("xyzzy");
  });

  it.each<{ name: string; variables: Record<string, string>; known: boolean; says: string }>([
    {
      name: "the CI system's",
      variables: { COMMIT_SHA: commit },
      known: true,
      says: `${commit} (COMMIT_SHA of Cloud Build)`,
    },
    {
      name: "none, of a CI system that names no full id",
      variables: { BUILDKITE_COMMIT: "HEAD" },
      known: false,
      says: "none: BUILDKITE_COMMIT of Buildkite is no full commit id",
    },
    {
      name: "none, on a laptop",
      variables: {},
      known: false,
      says: "none: the tag is none, and no variable",
    },
  ])("says which commit a tag that is none was built from: $name", async ({ variables, known, says }) => {
    registry.push("acme/api", "v1");
    env = { ...env, ...variables };
    const { out, code } = await landfall(["publish", image("v1")]);
    expect(code).toBe(0);
    expect(out).toContain(says);
    const [heard] = await delivered();
    expect(heard?.json).toEqual(
      known
        ? expect.objectContaining({ commit })
        : expect.not.objectContaining({ commit: expect.anything() }),
    );
  });

  it("publishes nothing in a dry run, but looks at everything", async () => {
    const digest = registry.push("acme/api", commit);
    const { out, code } = await landfall(["publish", image(), "--dry-run"]);
    expect(code).toBe(0);
    expect(out).toContain("would be published:");
    expect(out).toContain(
      JSON.stringify({ image: `${registry.host}/acme/api`, tag: commit, digest, commit }),
    );
    expect(await delivered()).toEqual([]);
    expect((await landfall(["publish", image("nowhere"), "--dry-run"])).code).toBe(1);
  });

  it("looks again when the registry is a moment behind its own push", async () => {
    const { code } = await landfall(["publish", image()], () => registry.push("acme/api", commit));
    expect([code, waits]).toEqual([0, [1_000]]);
  });

  it("follows the event that the ledger keeps under the message's id", async () => {
    registry.push("acme/api", commit);
    const ledger = embeddedLedger(ledgerPath, systemClock);
    const taken = async () => {
      const [message] = await delivered();
      if (message === undefined) return;
      const event = {
        state: "done",
        outcome: "superseded",
        heardMs: 1,
        verdicts: [],
        more: 0,
        looks: 0,
      } as const;
      const value = { ...event, expireMs: Number.MAX_SAFE_INTEGER };
      await ledger.commit("test", [{ collection: "events", id: `build-${message.id}`, value, expect: 0 }]);
    };
    const { code, out } = await landfall(["publish", image(), "--wait"], taken);
    await ledger.close();
    expect([code, out]).toEqual([
      0,
      expect.stringMatching(/\ndone: superseded: .*\nAll is over after [\d.]+ s\.\n$/),
    ]);
  });

  it("holds the image to the digest that it is given", async () => {
    const digest = registry.push("acme/api", commit);
    const other = `sha256:${"0".repeat(64)}`;
    expect((await landfall(["publish", `${image()}@${digest}`])).code).toBe(0);
    const { err, code } = await landfall(["publish", `${image()}@${other}`]);
    expect([code, err]).toEqual([
      1,
      expect.stringContaining(`is ${digest} in the registry, and not ${other}`),
    ]);
    expect(await delivered()).toHaveLength(1);
  });
});

describe("a job turns red with a sentence", () => {
  it.each<{ name: string; words: readonly string[]; code?: number; says: RegExp }>([
    {
      name: "the image is not there",
      words: ["IMAGE"],
      says: /acme\/api:840ee5\w+ is not in the registry: it has to be pushed first\. Nothing was published\.$/,
    },
    { name: "no image is named", words: [], code: 2, says: /Say which image/ },
    { name: "no tag is named", words: ["acme/api"], code: 2, says: /names no tag/ },
    {
      name: "only a digest is named",
      words: [`acme/api@sha256:${"0".repeat(64)}`],
      code: 2,
      says: /names no tag/,
    },
    { name: "the image is none", words: ["ACME/Api:v1"], code: 2, says: /is no image: / },
    { name: "a short commit", words: ["IMAGE", "--commit", "840ee5a"], code: 2, says: /full commit id/ },
    {
      name: "a branch without end",
      words: ["PUSHED", "--branch", "x".repeat(2_001)],
      code: 2,
      says: /branch: /,
    },
    {
      name: "topic and bus",
      words: ["IMAGE", "--topic", "abc", "--bus", "inline:"],
      code: 2,
      says: /not both/,
    },
    {
      name: "no topic",
      words: ["IMAGE", "--topic", "projects/p/subscriptions/x"],
      code: 2,
      says: /--topic needs/,
    },
    { name: "no bus", words: ["IMAGE", "--bus", "kafka:x"], code: 2, says: /`pubsub:TOPIC`/ },
    {
      name: "a bus that pulls, and so names no topic",
      words: ["IMAGE", "--bus", "pubsub-pull:landfall-builds"],
      says: /say with --topic where to publish/,
    },
    { name: "a timeout that is none", words: ["IMAGE", "--wait", "--timeout", "soon"], code: 2, says: /90s/ },
    { name: "no ledger to follow it in", words: ["PUSHED", "--wait"], says: /there is no ledger here/ },
  ])("when $name", async ({ words, code = 1, says }) => {
    registry.push("acme/api", "pushed");
    const named = words.map((word) =>
      word === "IMAGE" ? image() : word === "PUSHED" ? image("pushed") : word,
    );
    const { err, out, code: got } = await landfall(["publish", ...named]);
    expect([got, out]).toEqual([code, ""]);
    expect(err.trimEnd()).toMatch(says);
    expect(await delivered()).toEqual([]);
  });

  it("when nothing says where to publish, and makes no bus that nobody takes messages from", async () => {
    for (const ledger of [`file:${join(folder, "nowhere.db")}`, "memory:"]) {
      env = { ...env, LANDFALL_LEDGER: ledger };
      const { err, code } = await landfall(["publish", image()]);
      expect([code, err]).toEqual([1, expect.stringContaining("give --topic projects/P/topics/T")]);
    }
  });

  it("when the registry does not answer, after a second and a third try", async () => {
    const { host } = registry;
    await registry.stop();
    const { err, code } = await landfall(["publish", `${host}/acme/api:v1`]);
    expect([code, err, waits]).toEqual([1, expect.stringContaining("ECONNREFUSED"), [1_000, 3_000]]);
  });

  it("when the registry wants a login that nobody has given it, and says where one was looked for", async () => {
    await restartWith({ kind: "basic", ...login });
    const { err, code } = await landfall(["publish", image()]);
    expect(code).toBe(1);
    expect(err).toContain("it wants a username and a password");
    expect(err).toContain(
      `without a login, since ${folder}/.docker/config.json has none for ${registry.host}`,
    );
  });

  it("when the login is refused, and says whose it is, not what it is", async () => {
    await restartWith({ kind: "bearer", ...login });
    const wrong = Buffer.from("ci:wr0ng-xyzzy").toString("base64");
    const path = await writeIn(
      ".docker/config.json",
      JSON.stringify({ auths: { [registry.host]: { auth: wrong } } }),
    );
    const { err, code } = await landfall(["publish", image()]);
    expect([code, err]).toEqual([1, expect.stringContaining(`with docker's login, from ${path}`)]);
    expect(err).not.toContain("xyzzy");
  });

  it.each([
    {
      name: "the topic is not there",
      status: 404,
      status_: "NOT_FOUND",
      says: "there is no projects/acme/topics/builds",
    },
    {
      name: "the account may not publish",
      status: 403,
      status_: "PERMISSION_DENIED",
      says: "it takes roles/pubsub.publisher on projects/acme/topics/builds",
    },
  ])("when $name", async ({ status, status_, says }) => {
    registry.push("acme/api", commit);
    env = { ...env, PUBSUB_EMULATOR_HOST: google.host };
    google.troubles.pubsub.push({ kind: "answer", status, body: errorBody(status, status_, "no") });
    const { err, code } = await landfall(["publish", image(), "--topic", "projects/acme/topics/builds"]);
    expect(code).toBe(1);
    expect(err).toMatch(/^nothing was published to projects\/acme\/topics\/builds/);
    expect(err).toContain(says);
  });

  it("when Pub/Sub does not answer, after half a minute of tries", async () => {
    registry.push("acme/api", commit);
    env = { ...env, PUBSUB_EMULATOR_HOST: "127.0.0.1:9" };
    const { err, code } = await landfall(["publish", image(), "--topic", "projects/acme/topics/builds"]);
    expect([code, err]).toEqual([1, expect.stringContaining("ECONNREFUSED")]);
    const waitedMs = waits.reduce((sum, ms) => sum + ms, 0);
    expect(waitedMs).toBeGreaterThan(9_000);
    expect(waitedMs).toBeLessThan(30_000);
  });

  it("when there are no Google credentials, without tries that cannot help", async () => {
    registry.push("acme/api", commit);
    vi.stubEnv("GOOGLE_APPLICATION_CREDENTIALS", join(folder, "no-such-key.json"));
    const { err, code } = await landfall(["publish", image(), "--topic", "projects/acme/topics/builds"]);
    expect([code, waits]).toEqual([1, []]);
    expect(err).toContain("there are no Application Default Credentials that work");
    expect(err).toContain("no-such-key.json");
  });
});

describe("the registry's login", () => {
  beforeEach(async () => {
    await restartWith({ kind: "basic", ...login });
    registry.push("acme/api", commit);
  });

  it.each<{ name: string; config: (host: string) => object }>([
    { name: "under the host", config: (host) => ({ auths: { [host]: { auth: encoded } } }) },
    {
      name: "under an address, as old versions wrote it",
      config: (host) => ({
        auths: { "other.io": { auth: "eDp5" }, [`https://${host}/v1/`]: { auth: encoded } },
      }),
    },
  ])("is docker's own, from its file: $name", async ({ config }) => {
    await writeIn(".docker/config.json", JSON.stringify(config(registry.host)));
    expect(await landfall(["publish", image()])).toMatchObject({ code: 0, err: "" });
  });

  /** A credential helper that knows what `script` says, in a folder of its own on the PATH. */
  async function helper(script: string): Promise<void> {
    const path = await writeIn("bin/docker-credential-vault", `#!${process.execPath}\n${script}\n`);
    await chmod(path, 0o755);
    env = { ...env, PATH: dirname(path) };
  }

  it.each<{ name: string; config: (host: string) => object }>([
    { name: "of that host", config: (host) => ({ credHelpers: { [host]: "vault" }, auths: {} }) },
    { name: "of all hosts", config: () => ({ credsStore: "vault" }) },
  ])("is what a credential helper gives: $name", async ({ config }) => {
    await writeIn(".docker/config.json", JSON.stringify(config(registry.host)));
    await helper(`
      const asked = require("node:fs").readFileSync(0, "utf8").trim();
      if (process.argv[2] !== "get" || asked !== "${registry.host}") process.exit(1);
      console.log(JSON.stringify({ ServerURL: asked, Username: "ci", Secret: ${JSON.stringify(login.password)} }));
    `);
    expect(await landfall(["publish", image()])).toMatchObject({ code: 0, err: "" });
  });

  it("is docker's file when the helper of all hosts knows none", async () => {
    const config = { credsStore: "vault", auths: { [registry.host]: { auth: encoded } } };
    await writeIn(".docker/config.json", JSON.stringify(config));
    await helper(`console.log("credentials not found in native keychain"); process.exit(1);`);
    expect(await landfall(["publish", image()])).toMatchObject({ code: 0, err: "" });
  });

  it.each<{ name: string; config: (host: string) => object | string; script?: string; says: string }>([
    {
      name: "a helper that is not installed",
      config: () => ({ credsStore: "absent" }),
      says: "docker-credential-absent, which",
    },
    {
      name: "a helper that fails",
      config: () => ({ credsStore: "vault" }),
      script: "process.exit(3)",
      says: "gives no login",
    },
    {
      name: "a helper that answers nonsense",
      config: () => ({ credsStore: "vault" }),
      script: "console.log('hello')",
      says: "something that is no login",
    },
    {
      name: "a helper with a token of another kind",
      config: () => ({ credsStore: "vault" }),
      script: `console.log('{"Username":"<token>","Secret":"xyzzy"}')`,
      says: "has an identity token",
    },
    {
      name: "a helper that is a path",
      config: () => ({ credsStore: "../../bin/sh" }),
      says: "a credential helper that is no name",
    },
    {
      name: "a file with a token of another kind",
      config: (host) => ({ auths: { [host]: { auth: "", identitytoken: "xyzzy" } } }),
      says: "has an identity token",
    },
    { name: "a file that is no JSON", config: () => "{", says: "is not as docker writes it" },
  ])("is not guessed: $name", async ({ config, script, says }) => {
    const content = config(registry.host);
    await writeIn(".docker/config.json", typeof content === "string" ? content : JSON.stringify(content));
    await helper(script ?? "process.exit(1)");
    const { err, code } = await landfall(["publish", image()]);
    expect([code, err]).toEqual([1, expect.stringContaining(says)]);
    expect(err).not.toContain("xyzzy");
  });

  it("is that of the configuration before docker's", async () => {
    const wrong = Buffer.from("ci:wrong").toString("base64");
    await writeIn(".docker/config.json", JSON.stringify({ auths: { [registry.host]: { auth: wrong } } }));
    const config = await writeIn(
      "landfall.yaml",
      JSON.stringify({
        follow: [`${registry.host}/acme/*`],
        registries: [
          { host: registry.host, plainHttp: true, username: "ci", password: "${REGISTRY_PASSWORD}" },
        ],
      }),
    );
    env = { ...env, LANDFALL_CONFIG: config, REGISTRY_PASSWORD: login.password };
    expect(await landfall(["publish", image()])).toMatchObject({ code: 0, err: "" });
  });

  it("is docker's for a host that the configuration has no login for", async () => {
    await writeIn(".docker/config.json", JSON.stringify({ auths: { [registry.host]: { auth: encoded } } }));
    const config = await writeIn("landfall.yaml", 'follow: ["docker.io/acme/*"]');
    env = { ...env, LANDFALL_CONFIG: config };
    expect(await landfall(["publish", image()])).toMatchObject({ code: 0, err: "" });
  });
});
