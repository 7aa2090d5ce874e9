import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { httpClient } from "../../shared/http.ts";
import { distributionDelivery } from "../deliveries.ts";
import { type BareRegistry, type BareTarget, bareRegistry } from "./bare-calls.ts";
import type { RunnerWord, Step } from "./processes/runner.ts";
import type { Report, Row } from "./report.ts";
import { medianOf, spreadOf } from "./spread.ts";
import type { Systems } from "./systems.ts";

/** Services that run something else. */
const others = 18;
const secret = "2b7e151628aed2a6abf7158809cf4f3c";
const patienceMs = 60_000;

/** One push, ms. */
interface Sample {
  /** From the webhook's first look at it to the target's acceptance. */
  readonly oursMs: number;
  /** HEAD, list, get and update; for a bound service the image's manifest and configuration too. */
  readonly callsMs: number;
  /** As many commits to the ledger as the flow made until then. */
  readonly commitsMs: number;
  readonly commits: number;
  /** Where ours went, in order. */
  readonly parts: ReadonlyMap<string, number>;
}

export interface AcceptedOptions {
  readonly pushes: number;
  readonly warmUps: number;
  /** The services are bound to a platform, as the docker command line does it: then the image is asked for its own. */
  readonly bound: boolean;
}

/**
 * Push heard → update accepted, beside the same calls bare and the same number of commits, push by push in turn.
 */
export async function measureAccepted(
  systems: Systems,
  folder: string,
  { pushes, warmUps, bound }: AcceptedOptions,
): Promise<Report> {
  const bare: Bare = { registry: bareRegistry(systems.registry), target: systems.bare() };
  const prefix = `bench-${process.pid}${bound ? "-bound" : ""}`;
  const names = ["ours", "bare", ...Array.from({ length: others }, (_, index) => `other${index}`)];
  try {
    const workloads = names.map((name) => ({
      name: `${prefix}-${name}`,
      image: `${systems.registry}/${prefix}/${name}:v1`,
      bound,
    }));
    await bare.target.create(workloads);
    const runner = await startRunner(systems, join(folder, prefix), `${prefix}/ours`);
    try {
      const samples: Sample[] = [];
      for (let push = 0; push < warmUps + pushes; push++) {
        const sample = await samplePush(systems, bare, runner, prefix, bound);
        if (push >= warmUps) samples.push(sample);
      }
      return reportOf(samples, `${systems.name}${bound ? ", platforms bound" : ""}`);
    } finally {
      await runner.stop();
    }
  } finally {
    await bare.target.remove(names.map((name) => `${prefix}-${name}`));
    await Promise.all([bare.registry.close(), bare.target.close()]);
  }
}

interface Bare {
  readonly registry: BareRegistry;
  readonly target: BareTarget;
}

async function samplePush(
  systems: Systems,
  bare: Bare,
  runner: Runner,
  prefix: string,
  bound: boolean,
): Promise<Sample> {
  const digest = await systems.push(`${prefix}/ours`, "v1");
  const { heardMs, steps } = await runner.push(`${prefix}/ours`, digest);
  const update = steps.find((step) => step.point === "target.update");
  if (update === undefined)
    throw new Error(`no update was sent: ${steps.map((step) => step.point).join(", ")}`);
  const before = steps.filter((step) => step.toMs <= update.toMs);
  const commits = before.filter((step) => /^(?:ref|event|workload)\./.test(step.point)).length;

  const startedMs = performance.now();
  await bare.registry.head(`${prefix}/ours`, "v1");
  await bare.target.list();
  if (bound) await bare.registry.platform(`${prefix}/ours`, digest);
  await bare.target.write(`${prefix}-bare`, `${systems.registry}/${prefix}/bare:v1@${digest}`);
  const callsMs = performance.now() - startedMs;
  return {
    oursMs: update.toMs - heardMs,
    callsMs,
    commitsMs: await runner.commit(commits),
    commits,
    parts: partsOf(heardMs, before),
  };
}

/** Each step by its name, what was before the first, and what was between them. */
function partsOf(heardMs: number, steps: readonly Step[]): ReadonlyMap<string, number> {
  const parts = new Map<string, number>();
  let atMs = heardMs;
  let betweenMs = 0;
  for (const [index, { point, fromMs, toMs }] of steps.entries()) {
    if (index === 0) parts.set("webhook, bus, delivery", fromMs - atMs);
    else betweenMs += Math.max(0, fromMs - atMs);
    parts.set(point, (parts.get(point) ?? 0) + toMs - fromMs);
    atMs = toMs;
  }
  return parts.set("between them", betweenMs);
}

function reportOf(samples: readonly Sample[], where: string): Report {
  const ours = spreadOf(samples.map((sample) => sample.oursMs));
  const floors = samples.map((sample) => sample.callsMs + sample.commitsMs);
  const floor = spreadOf(floors);
  const differences = spreadOf(samples.map((sample, index) => sample.oursMs - (floors[index] ?? Number.NaN)));
  const row = (quantile: "median" | "p95", name: string): Row => ({
    what: `push heard → update accepted, ${name} of ${samples.length} (${where})`,
    ours: ours[quantile],
    unit: "ms",
    beside: { name: "bare calls + commits", value: floor[quantile] },
    compared: { as: "difference", value: ours[quantile] - floor[quantile], spread: differences },
  });
  const part = (name: string) =>
    `${name} ${medianOf(samples.map((sample) => sample.parts.get(name) ?? 0)).toFixed(1)}`;
  const names = [...new Set(samples.flatMap((sample) => [...sample.parts.keys()]))];
  const bare = `calls ${medianOf(samples.map((sample) => sample.callsMs)).toFixed(1)}, ${medianOf(samples.map((sample) => sample.commits))} commits ${medianOf(samples.map((sample) => sample.commitsMs)).toFixed(1)}`;
  return {
    rows: [row("median", "p50"), { ...row("p95", "p95"), budget: { at: "most", value: 15 } }],
    notes: [
      `push heard → update accepted (${where}), medians in ms: ${names.map(part).join(" · ")}; bare: ${bare}`,
    ],
  };
}

interface Runner {
  push(repository: string, digest: string): Promise<RunnerWord & { kind: "finished" }>;
  /** What so many commits to the ledger of the flows take, ms. */
  commit(times: number): Promise<number>;
  stop(): Promise<void>;
}

async function startRunner(systems: Systems, at: string, repository: string): Promise<Runner> {
  writeFileSync(
    `${at}.yaml`,
    `
follow: ["${systems.registry}/${repository}"]
webhooks: [{ source: distribution, secrets: ["${secret}"] }]
registries: [{ host: "${systems.registry}", plainHttp: true }]
targets: [${JSON.stringify(systems.target)}]
`,
  );
  const child = fork(new URL("processes/runner.ts", import.meta.url), {
    env: { ...process.env, LANDFALL_CONFIG: `${at}.yaml`, LANDFALL_LEDGER: `file:${at}.db`, PORT: "0" },
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const { url } = await heard(child, "listening");
  const http = httpClient();
  return {
    async push(path, digest) {
      const delivery = distributionDelivery(secret, [
        { host: systems.registry, repository: path, tag: "v1", digest },
      ]);
      const finished = heard(child, "finished");
      const answer = await http.request({
        method: "POST",
        url: `${url}${delivery.path}`,
        headers: delivery.headers,
        body: delivery.body,
        deadlineMs: patienceMs,
        maxBytes: 65_536,
      });
      if (answer.status !== 202) throw new Error(`the webhook answered ${answer.status} ${answer.body}`);
      return finished;
    },
    async commit(times) {
      const committed = heard(child, "committed");
      child.send(times);
      return (await committed).tookMs;
    },
    async stop() {
      const gone = once(child, "exit");
      child.disconnect();
      await Promise.all([gone, http.close()]);
    },
  };
}

async function heard<K extends RunnerWord["kind"]>(
  child: ChildProcess,
  kind: K,
): Promise<RunnerWord & { kind: K }> {
  const [word] = (await once(child, "message", { signal: AbortSignal.timeout(patienceMs) })) as [RunnerWord];
  if (word.kind !== kind) throw new Error(`the runner said ${word.kind} instead of ${kind}`);
  return word as RunnerWord & { kind: K };
}
