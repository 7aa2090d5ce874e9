import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { createBuilds } from "../../functions/builds.ts";
import { wireFlows } from "../../functions/wiring/flows.ts";
import { systemClock } from "../../shared/clock.ts";
import { loadConfig } from "../../shared/config/load.ts";
import type { Commit } from "../../shared/domain/commit.ts";
import { type HttpClient, type HttpOptions, httpClient } from "../../shared/http.ts";
import { silentLog } from "../../shared/log.ts";
import { type GitHosting, hostGit } from "./git/commits.ts";
import type { GraphRepository } from "./git/repository.ts";
import { registryLog } from "./registry-log.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const path = `e2e-promotion/${Date.now().toString(36)}`;
const dockerList = "application/vnd.docker.distribution.manifest.list.v2+json";
const ociIndex = "application/vnd.oci.image.index.v1+json";
const everyIndex = { accept: `${ociIndex}, ${dockerList}` };
const platforms = ["amd64", "arm64", "s390x"].map((architecture) => ({ os: "linux", architecture }));
/** The budget of a promotion, tokens not counted. */
const maxCalls = 4;

let git: GitHosting;
let repository: GraphRepository;
beforeAll(async () => {
  git = await hostGit();
  repository = await git.make({
    name: "multi",
    commits: [
      { name: "c0", parents: [], atS: 1_700_000_000 },
      { name: "c1", parents: ["c0"], atS: 1_700_000_060 },
    ],
    branches: { main: "c1" },
  });
});
afterAll(() => git.close());

/** A call to a registry, as Landfall made it. */
interface Call {
  readonly method: string;
  /** Tag or digest of the manifest. */
  readonly reference: string;
  readonly status: number;
  readonly type: string | undefined;
  readonly bytes: number;
}

/** Sees what goes to a registry, and is not in its way. */
function watching(host: string, calls: Call[]): (options: HttpOptions) => HttpClient {
  return (options) => {
    const inner = httpClient(options);
    return {
      ...inner,
      async request(request) {
        const answer = await inner.request(request);
        const { host: asked, pathname } = new URL(request.url);
        if (asked === host) {
          calls.push({
            method: request.method,
            reference: pathname.split("/").at(-1) ?? "",
            status: answer.status,
            type: request.headers?.["content-type"],
            bytes: (request.body?.length ?? 0) + answer.body.length,
          });
        }
        return answer;
      },
    };
  };
}

interface Case {
  readonly name: string;
  readonly on: "open" | "protected";
  readonly mediaType: string;
}
const cases: readonly Case[] = [
  { name: "a manifest list in an open registry", on: "open", mediaType: dockerList },
  { name: "an OCI index in an open registry", on: "open", mediaType: ociIndex },
  { name: "a manifest list in a registry with a password", on: "protected", mediaType: dockerList },
  { name: "an OCI index in a registry with a password", on: "protected", mediaType: ociIndex },
];

describe("a promotion", () => {
  it.each(cases)("of $name brings just its bytes under the channel's tag", async ({ on, mediaType }) => {
    const host = on === "open" ? bed.registry : bed.registryAuth;
    const image = `${path}/${on}-${mediaType === ociIndex ? "oci" : "docker"}`;
    const calls: Call[] = [];
    const heard = await landfall(host, image, calls);
    const [first, second] = [repository.id("c0"), repository.id("c1")];

    await pushIndex(image, first, on, mediaType);
    await heard(first, "first");
    const cold = calls.splice(0);
    await pushIndex(image, second, on, mediaType);
    const log = await registryLog();
    await heard(second, "second");

    const [built, promoted] = await Promise.all([read(host, image, second), read(host, image, "prod")]);
    expect(promoted).toEqual(built);
    expect(promoted.type).toBe(mediaType);
    const children = JSON.parse(promoted.text).manifests as readonly { readonly digest: string }[];
    expect(children).toHaveLength(platforms.length);
    for (const { digest } of children) expect((await read(host, image, digest)).digest).toBe(digest);

    expect(calls.map(({ method, reference, status }) => [method, reference, status])).toEqual([
      ["HEAD", second, 200],
      ["HEAD", "prod", 200],
      ["GET", built.digest, 200],
      ["PUT", "prod", 201],
    ]);
    expect(calls.length).toBeLessThanOrEqual(maxCalls);
    expect(calls.at(-1)?.type).toBe(mediaType);
    const bytes = calls.reduce((sum, call) => sum + call.bytes, 0);
    expect(bytes).toBeLessThanOrEqual(2 * built.text.length);
    // The first one besides had to learn how this registry wants to be asked.
    expect(cold.filter(({ status }) => status !== 401)).toHaveLength(maxCalls);
    expect(cold.length).toBeLessThanOrEqual(maxCalls + (on === "open" ? 0 : 1));
    if (on === "open") {
      const logged = (await log.calls()).filter(({ agent }) => agent.startsWith("landfall/"));
      const own = logged.filter((call) => call.repository === image);
      expect(own.map(({ method, reference }) => [method, reference])).toEqual(
        calls.map(({ method, reference }) => [method, reference]),
      );
      const read = own.filter(({ method }) => method === "GET").reduce((sum, call) => sum + call.bytes, 0);
      expect(read).toBe(built.text.length);
      expect((await log.blobs(/^landfall\//)).filter((blob) => blob.includes(image))).toEqual([]);
    }
    process.stdout.write(
      `      ${calls.length} calls (the first time ${cold.length}), ${bytes} bytes of manifests of ${built.text.length} each\n`,
    );
  });
});

/** A builds function as the product wires it. @returns publishes a build and waits until all that it led to is done */
async function landfall(host: string, image: string, calls: Call[]) {
  const login = host === bed.registryAuth ? { username: "landfall", password: "${PASSWORD}" } : {};
  const config = {
    follow: [`${host}/${image}`],
    registries: [{ host, plainHttp: true, ...login }],
    git: [git.entry],
    images: [
      {
        image: `${host}/${image}`,
        git: { url: await git.url(repository), branch: "main" },
        channels: [{ tag: "prod" }],
      },
    ],
  };
  const loaded = await loadConfig({
    path: "a test's",
    text: JSON.stringify(config),
    env: { PASSWORD: "landfall-secret" },
  });
  const wiring = wireFlows({
    settings: { ledger: { kind: "memory" } },
    config: async () => loaded,
    log: silentLog,
    clock: systemClock,
    connect: watching(host, calls),
  });
  onTestFinished(() => wiring.close());
  const builds = createBuilds(() => wiring);
  return async (commit: Commit, messageId: string) => {
    const data = Buffer.from(JSON.stringify({ image: `${host}/${image}`, tag: commit })).toString("base64");
    await builds({
      specversion: "1.0",
      id: messageId,
      type: "google.cloud.pubsub.topic.v1.messagePublished",
      source: "//pubsub.googleapis.com/projects/acme/topics/landfall",
      data: { message: { data, messageId }, deliveryAttempt: 1 },
    });
    const { ledger } = await wiring.flows();
    expect((await ledger.get("events", `build-${messageId}`))?.value.outcome).toBe("head");
  };
}

/** An index of one image a platform, of either of the two types that indexes have. */
async function pushIndex(image: string, tag: Commit, on: Case["on"], mediaType: string): Promise<void> {
  await bed.pushIndex(image, tag, platforms, { labels: { commit: tag }, on });
  if (mediaType === dockerList) return;
  const host = on === "open" ? bed.registry : bed.registryAuth;
  const list = JSON.parse((await read(host, image, tag)).text) as object;
  await bed.pushManifest(image, tag, mediaType, { ...list, mediaType }, on);
}

async function read(host: string, image: string, reference: string) {
  const authorization = `Basic ${Buffer.from("landfall:landfall-secret").toString("base64")}`;
  const answer = await fetch(`http://${host}/v2/${image}/manifests/${reference}`, {
    headers: {
      accept: `${everyIndex.accept}, application/vnd.docker.distribution.manifest.v2+json`,
      ...(host === bed.registryAuth ? { authorization } : {}),
    },
  });
  if (!answer.ok) throw new Error(`${host}/${image} ${reference}: ${answer.status}`);
  return {
    digest: answer.headers.get("docker-content-digest"),
    type: answer.headers.get("content-type"),
    text: await answer.text(),
  };
}
