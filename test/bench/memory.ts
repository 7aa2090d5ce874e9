import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { buildFunction } from "../../infra/build/build-function.ts";
import { systemClock } from "../../shared/clock.ts";
import { embeddedLedger } from "../../shared/ledger/embedded.ts";
import type { Ledger } from "../../shared/ledger/ledger.ts";
import { hostGit } from "../e2e/git/commits.ts";
import type { GraphRepository } from "../e2e/git/repository.ts";
import { firestoreProject } from "../emulators/firestore-emulator.ts";
import { pubsubProject } from "../emulators/pubsub-emulator.ts";
import { serve } from "./framework.ts";
import { messageRequest } from "./functions.ts";
import { behind, beside, hasGit, longLine, tip } from "./long-line.ts";
import type { Report, Row } from "./report.ts";
import type { Systems } from "./systems.ts";

const mostMiB = 256;
const channel = "prod";
const far = 20_000;

/** One message to builds, and what must have come of it. */
interface Step {
  readonly name: string;
  readonly message: object;
  readonly outcome: string;
  /** Whether its rollout has to have ended well. */
  readonly rollsOut?: boolean;
}

/** The memory of one process of builds, as it is deployed, while it does all that it is for. */
export async function measureMemory(systems: Systems, folder: string): Promise<Report> {
  if (!(await hasGit())) {
    return { rows: [], notes: ["skipped: memory of builds; it is measured where git is installed"] };
  }
  const hosting = await hostGit();
  const target = systems.bare();
  const { env, ledger, where } = await storesIn(folder);
  try {
    const repository = await hosting.make(longLine);
    const path = `bench-${process.pid}/memory`;
    const image = `${systems.registry}/${path}`;
    const ordered = (name: string, url: string) => ({
      image: `${image}/${name}`,
      git: { url, branch: "main" },
    });
    const [url, again] = [await hosting.url(repository), await hosting.url(repository, "long-again")];
    const config = {
      follow: [`${image}/*`],
      registries: [{ host: systems.registry, plainHttp: true }],
      git: [hosting.entry],
      images: [
        ordered("forward", url),
        ordered("back", again),
        { ...ordered("promoted", url), channels: [{ tag: channel }] },
        { ...ordered("deployed", url), channels: [{ tag: channel }] },
      ],
      targets: [systems.target],
    };
    writeFileSync(join(folder, "memory.yaml"), JSON.stringify(config));
    await target.create([{ name: "memory", image: `${image}/deployed:${channel}`, bound: false }]);
    await buildFunction("builds", join(folder, "builds"));
    const served = await serve({
      source: pathToFileURL(join(folder, "builds", "index.js")),
      target: "builds",
      env: { ...env, LANDFALL_CONFIG: join(folder, "memory.yaml") },
      request: messageRequest("start", { kind: "continue", workload: "k8s/nothing", seq: 1 }),
      status: 204,
    });
    try {
      const seen: string[] = [];
      const see = (name: string) => seen.push(`${name} ${served.residentMiB()?.toFixed(0) ?? "?"}`);
      see("start");
      for (const [index, step] of steps(systems, path, repository).entries()) {
        const { repository: name, tag } = imageOf(step.message);
        await systems.push(name, tag);
        await served.send(messageRequest(String(index), step.message));
        await expectDone(ledger, index, step);
        see(step.name);
      }
      const peak = served.peakMiB();
      const row: Row = {
        what: `builds, most memory in all of it (${where})`,
        ours: peak ?? Number.NaN,
        unit: "MiB",
        budget: { at: "most", value: mostMiB },
      };
      return {
        rows: peak === undefined ? [] : [row],
        notes: [`builds, resident memory in MiB after each step (${where}): ${seen.join(" · ")}`],
      };
    } finally {
      await served.stop();
    }
  } finally {
    await Promise.all([hosting.close(), target.close(), ledger.close()]);
  }
}

function steps(systems: Systems, path: string, { id }: GraphRepository): readonly Step[] {
  const build = (image: string, commit: string) => ({
    image: `${systems.registry}/${path}/${image}`,
    tag: id(commit),
    commit: id(commit),
  });
  const pushed = { source: "native", registry: systems.registry, repository: `${path}/pushed`, tag: "v1" };
  const push = { kind: "push", event: "pushed", heardMs: Date.now(), push: pushed };
  const apart = `${far.toLocaleString("en")} commits`;
  return [
    { name: "a push", message: push, outcome: "observed" },
    { name: "a first build", message: build("forward", behind(far)), outcome: "head" },
    { name: `newer by ${apart}`, message: build("forward", tip), outcome: "head" },
    { name: `diverged for ${apart}`, message: build("forward", beside(far)), outcome: "held-back" },
    { name: "another first build", message: build("back", tip), outcome: "head" },
    { name: `older by ${apart}`, message: build("back", behind(far)), outcome: "superseded" },
    { name: "a promotion", message: build("promoted", tip), outcome: "head" },
    { name: "a Kubernetes rollout", message: build("deployed", tip), outcome: "head", rollsOut: true },
  ];
}

function imageOf(message: object): { readonly repository: string; readonly tag: string } {
  if ("push" in message) return message.push as { readonly repository: string; readonly tag: string };
  const { image, tag } = message as { readonly image: string; readonly tag: string };
  return { repository: image.slice(image.indexOf("/") + 1), tag };
}

async function expectDone(ledger: Ledger, index: number, step: Step): Promise<void> {
  const event = "push" in step.message ? "pushed" : `build-${index}`;
  const { value } = (await ledger.get("events", event)) ?? {};
  if (value?.outcome !== step.outcome) {
    throw new Error(`${step.name}: ${value?.outcome} (${value?.detail}) instead of ${step.outcome}`);
  }
  if (step.rollsOut !== true) return;
  const [rollout] = await ledger.rollouts({}, 1);
  if (rollout?.value.state !== "succeeded") throw new Error(`${step.name}: ${rollout?.value.state}`);
}

/** Firestore and Pub/Sub, as they are deployed with, where their emulators run; else one file. */
async function storesIn(folder: string): Promise<{
  readonly where: string;
  readonly env: Readonly<Record<string, string>>;
  readonly ledger: Ledger;
}> {
  const hosts = [process.env.FIRESTORE_EMULATOR_HOST, process.env.PUBSUB_EMULATOR_HOST];
  if (hosts.some((host) => host === undefined || host === "")) {
    const file = join(folder, "memory.db");
    const ledger = embeddedLedger(file, systemClock);
    return { where: "ledger in a file", env: { LANDFALL_LEDGER: `file:${file}` }, ledger };
  }
  const [firestore, pubsub] = [firestoreProject(), pubsubProject()];
  const { topic } = await pubsub.createTopic("landfall");
  return {
    where: "Firestore and Pub/Sub",
    env: {
      LANDFALL_LEDGER: `firestore:${firestore.project}`,
      LANDFALL_BUS: `pubsub:${topic}`,
      GOOGLE_CLOUD_PROJECT: pubsub.project,
      METADATA_SERVER_DETECTION: "none",
    },
    ledger: firestore.ledger(),
  };
}
