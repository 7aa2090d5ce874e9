import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { asBuild, ImageBuild } from "../../shared/domain/build.ts";
import type { Digest } from "../../shared/domain/reference.ts";
import { type PubsubProject, type PubsubTopic, pubsubProject } from "../emulators/pubsub-emulator.ts";
import { nodeEnvironment } from "../node-environment.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const path = `e2e-publish/${Date.now().toString(36)}`;
const commit = "840ee5a432444a504020e1ec3b25e2e3f4763e7b";
const entry = join(import.meta.dirname, "../../functions/cli/landfall.js");

let home: string;
let project: PubsubProject;
let topic: PubsubTopic;
const digests = new Set<Digest>();

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "landfall-publish-"));
  project = pubsubProject();
  topic = await project.createTopic("landfall");
});
afterAll(async () => {
  for (const digest of digests) await bed.deleteManifest(path, digest);
  for (const each of [topic.topic, `${topic.topic}-dead-letter`]) await project.call("DELETE", each);
  await rm(home, { recursive: true });
});

interface Printed {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** The program in a process of its own, as a CI job runs it. */
function landfall(words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Printed> {
  return new Promise((resolve) => {
    const set = {
      ...nodeEnvironment(),
      HOME: home,
      PUBSUB_EMULATOR_HOST: project.host,
      LANDFALL_BUS: `pubsub:${topic.topic}`,
      ...env,
    };
    const child = execFile(process.execPath, [entry, ...words], { env: set, cwd: home }, (_error, out, err) =>
      resolve({ code: child.exitCode ?? -1, out, err }),
    );
  });
}

async function pushed(
  tag: string,
  on: "open" | "protected" = "open",
): Promise<{ image: string; digest: Digest }> {
  const digest = await bed.pushImage(path, tag, { labels: { e2e: path }, on });
  if (on === "open") digests.add(digest);
  return { image: `${on === "open" ? bed.registry : bed.registryAuth}/${path}:${tag}`, digest };
}

interface Pulled {
  readonly receivedMessages?: readonly {
    readonly ackId: string;
    readonly message: {
      readonly data: string;
      readonly messageId: string;
      readonly attributes?: Readonly<Record<string, string>>;
    };
  }[];
}

/** Everything that waits in the subscription, acknowledged. */
async function pulled() {
  const body = { maxMessages: 10, returnImmediately: true };
  const { receivedMessages = [] } = (await project.call(
    "POST",
    `${topic.subscription}:pull`,
    body,
  )) as Pulled;
  if (receivedMessages.length > 0) {
    const ackIds = receivedMessages.map(({ ackId }) => ackId);
    await project.call("POST", `${topic.subscription}:acknowledge`, { ackIds });
  }
  return receivedMessages.map(({ message: { data, messageId, attributes = {} } }) => ({
    messageId,
    attributes,
    json: JSON.parse(Buffer.from(data, "base64").toString("utf8")) as unknown,
  }));
}

describe("landfall publish, in a process of its own", () => {
  it("publishes an image of a real registry as the message that builds understand", async () => {
    const { image, digest } = await pushed(commit);
    const { code, out, err } = await landfall(["publish", image, "--json"], {
      GITHUB_SHA: commit,
      GITHUB_REF_TYPE: "branch",
      GITHUB_REF_NAME: "main",
    });
    expect([code, err]).toEqual([0, ""]);
    const [message, ...more] = await pulled();
    expect(more).toEqual([]);
    expect(message).toEqual({
      messageId: JSON.parse(out).messageId,
      attributes: {},
      json: { image: `${bed.registry}/${path}`, tag: commit, digest, commit, branch: "main" },
    });
    expect(ImageBuild.parse(asBuild(message?.json))).toMatchObject({ kind: "build", commit, digest });
  });

  it("asks a registry that wants a login with docker's own", async () => {
    const { image, digest } = await pushed("v1", "protected");
    const denied = await landfall(["publish", image]);
    expect([denied.code, denied.err]).toEqual([
      1,
      expect.stringContaining("it wants a username and a password"),
    ]);
    const auth = Buffer.from("landfall:landfall-secret").toString("base64");
    const config = await mkdtemp(join(home, "docker-"));
    await writeFile(join(config, "config.json"), JSON.stringify({ auths: { [bed.registryAuth]: { auth } } }));
    const allowed = await landfall(["publish", image, "--commit", commit], { DOCKER_CONFIG: config });
    expect([allowed.code, allowed.err]).toEqual([0, ""]);
    expect((await pulled()).map(({ json }) => json)).toEqual([
      { image: `${bed.registryAuth}/${path}`, tag: "v1", digest, commit },
    ]);
  });

  it.each<{
    name: string;
    tag?: string;
    words?: readonly string[];
    env?: Record<string, string>;
    says: string;
  }>([
    {
      name: "the image was not pushed",
      tag: "nowhere",
      says: "is not in the registry: it has to be pushed first",
    },
    {
      name: "the topic is not there",
      words: ["--topic", "projects/acme/topics/nowhere"],
      says: "there is no projects/acme/topics/nowhere",
    },
    {
      name: "there are no Google credentials",
      env: { PUBSUB_EMULATOR_HOST: "", METADATA_SERVER_DETECTION: "none" },
      says: "there are no Application Default Credentials that work",
    },
    {
      name: "nothing says where to publish",
      env: { LANDFALL_BUS: "" },
      says: "give --topic projects/P/topics/T",
    },
  ])("ends with 1 and a sentence when $name", async ({ tag, words = [], env, says }) => {
    const { image } = await pushed("v2");
    const named = tag === undefined ? image : image.replace(/v2$/, tag);
    const { code, out, err } = await landfall(["publish", named, ...words], env);
    expect([code, out, err]).toEqual([1, "", expect.stringContaining(says)]);
    expect(await pulled()).toEqual([]);
  });

  it("sends an order to the topic for orders", async () => {
    const orders = await project.createTopic("landfall-commands");
    const line = ["promote", `${bed.registry}/${path}`, "prod", "--json"];
    const { code, out } = await landfall(line);
    expect(code).toBe(0);
    const answer = (await project.call("POST", `${orders.subscription}:pull`, {
      maxMessages: 10,
      returnImmediately: true,
    })) as Pulled;
    const [received] = answer.receivedMessages ?? [];
    const message = JSON.parse(Buffer.from(received?.message.data ?? "", "base64").toString("utf8"));
    expect(message).toEqual(JSON.parse(out).message);
    expect(message).toMatchObject({
      kind: "promote",
      image: `${bed.registry}/${path}`,
      channel: "prod",
      how: "move",
    });
    expect(await pulled()).toEqual([]);
    for (const each of [orders.topic, `${orders.topic}-dead-letter`]) await project.call("DELETE", each);
  });
});
