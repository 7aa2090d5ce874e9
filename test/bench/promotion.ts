import { join } from "node:path";
import { createBuilds } from "../../functions/builds.ts";
import { wireFlows } from "../../functions/wiring/flows.ts";
import { systemClock } from "../../shared/clock.ts";
import { loadConfig } from "../../shared/config/load.ts";
import type { Commit } from "../../shared/domain/commit.ts";
import { silentLog } from "../../shared/log.ts";
import { taggedDigest } from "../e2e/built-images.ts";
import { type BuiltLine, commitLine } from "../e2e/built-line.ts";
import { registryLog } from "../e2e/registry-log.ts";
import { testbed } from "../e2e/testbed.ts";
import { bytesOf, type CountedCall, counting } from "./counted.ts";
import { largeImage, type PushedImage } from "./large-image.ts";
import { hasGit } from "./long-line.ts";
import type { Report } from "./report.ts";
import { medianOf, spreadOf } from "./spread.ts";

const rounds = 3;
const maxCalls = 4;
const path = "bench/large";
const channel = "prod";
const needed = [
  "TESTBED_REGISTRY",
  "TESTBED_REGISTRY_LOG",
  "TESTBED_DOCKER_HOST",
  "TESTBED_BASE_IMAGE",
] as const;

/** One image that went under another tag, by us and by the docker command line. */
interface Sample {
  readonly oursMs: number;
  readonly calls: readonly CountedCall[];
  readonly dockerMs: number;
  readonly dockerBytes: number;
  readonly manifestBytes: number;
}

/** A promotion of an image of 50 MiB on a real registry, beside `docker pull`, `tag` and `push` of the same image. */
export async function measurePromotion(folder: string): Promise<Report> {
  if (needed.some((name) => (process.env[name] ?? "") === "") || !(await hasGit())) {
    const words = `it is measured when ${needed.join(", ")} are set and git is installed`;
    return { rows: [], notes: [`skipped: promotion on a real registry; ${words}`] };
  }
  const bed = testbed();
  const line = await commitLine(rounds + 1);
  const calls: CountedCall[] = [];
  const promoter = await startPromoter(`${bed.registry}/${path}`, line, join(folder, "promotion.db"), calls);
  try {
    const push = await largeImage(bed.baseImage, path);
    const samples: Sample[] = [];
    // The first one loads code, connects, and takes the channel over: it does not count.
    for (let round = 0; round <= rounds; round++) {
      const commit = line.id(`c${round + 1}`);
      const pushed = await push(commit);
      calls.length = 0;
      const oursMs = await promoter.build(commit);
      const own = calls.filter(({ url }) => new URL(url).host === bed.registry);
      if ((await taggedDigest(path, channel)) !== pushed.digest) throw new Error("the channel did not move");
      if (round > 0) samples.push({ oursMs, calls: own, ...(await byDocker(commit, pushed)) });
    }
    return reportOf(samples);
  } finally {
    await promoter.close();
    await line.close();
  }

  async function byDocker(commit: Commit, { manifestBytes }: PushedImage) {
    const names = [`${bed.registry}/${path}:${commit}`, `${bed.registry}/${path}:by-docker`] as const;
    const log = await registryLog();
    const startedMs = performance.now();
    await bed.docker("pull", "--quiet", names[0]);
    await bed.docker("tag", ...names);
    await bed.docker("push", "--quiet", names[1]);
    const dockerMs = performance.now() - startedMs;
    await bed.docker("rmi", ...names);
    const read = await log.sent(/^docker\//, `/v2/${path}/`);
    return { dockerMs, dockerBytes: read + manifestBytes, manifestBytes };
  }
}

/** A builds function as the product wires it. */
async function startPromoter(
  image: string,
  line: BuiltLine,
  ledger: string,
  calls: CountedCall[],
): Promise<{ build(commit: Commit): Promise<number>; close(): Promise<void> }> {
  const config = {
    follow: [image],
    registries: [{ host: image.split("/", 1)[0], plainHttp: true }],
    git: line.hosts,
    images: [{ image, git: line.git, channels: [{ tag: channel }] }],
  };
  const loaded = await loadConfig({ path: "the bench's", text: JSON.stringify(config), env: {} });
  const wiring = wireFlows({
    settings: { ledger: { kind: "file", path: ledger } },
    config: async () => loaded,
    log: silentLog,
    clock: systemClock,
    connect: counting(calls),
  });
  const builds = createBuilds(() => wiring);
  return {
    /** Build heard → all done. @returns ms */
    async build(commit) {
      const data = Buffer.from(JSON.stringify({ image, tag: commit })).toString("base64");
      const startedMs = performance.now();
      await builds({
        specversion: "1.0",
        id: commit,
        type: "google.cloud.pubsub.topic.v1.messagePublished",
        source: "//pubsub.googleapis.com/projects/acme/topics/landfall",
        data: { message: { data, messageId: commit }, deliveryAttempt: 1 },
      });
      return performance.now() - startedMs;
    },
    close: () => wiring.close(),
  };
}

function reportOf(samples: readonly Sample[]): Report {
  const of = (pick: (sample: Sample) => number) => samples.map(pick);
  const ratios = of(({ oursMs, dockerMs }) => oursMs / dockerMs);
  const bytes = of(({ calls }) => bytesOf(calls) / 1024);
  const dockerBytes = of((sample) => sample.dockerBytes / 1024);
  const layers = of(({ calls }) => bytesOf(calls.filter(({ url }) => url.includes("/blobs/"))));
  const manifest = medianOf(of(({ manifestBytes }) => manifestBytes));
  const manifests = medianOf(of(({ calls }) => bytesOf(calls)));
  const besides = "docker pull + tag + push";
  return {
    rows: [
      {
        what: "promotion of a 50 MiB image, build heard → tag moved",
        ours: medianOf(of(({ oursMs }) => oursMs)),
        unit: "ms",
        beside: { name: besides, value: medianOf(of(({ dockerMs }) => dockerMs)) },
        compared: { as: "ratio", value: medianOf(ratios), spread: spreadOf(ratios) },
      },
      {
        what: "promotion of a 50 MiB image, bytes moved",
        ours: medianOf(bytes),
        unit: "KiB",
        beside: { name: besides, value: medianOf(dockerBytes) },
        compared: { as: "ratio", value: medianOf(bytes) / medianOf(dockerBytes) },
      },
      {
        what: "promotion, registry calls",
        ours: Math.max(...of(({ calls }) => calls.length)),
        unit: "",
        budget: { at: "most", value: maxCalls },
      },
      {
        what: "promotion, bytes of manifests",
        ours: manifests,
        unit: "B",
        beside: { name: "the manifest", value: manifest },
        compared: { as: "ratio", value: manifests / manifest },
        budget: { at: "most", value: 2 },
      },
      {
        what: "promotion, bytes of layers",
        ours: Math.max(...layers),
        unit: "B",
        budget: { at: "most", value: 0 },
      },
    ],
    notes: [],
  };
}
