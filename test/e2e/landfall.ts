import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { systemClock } from "../../shared/clock.ts";
import type { Rollout } from "../../shared/domain/rollout.ts";
import { embeddedLedger } from "../../shared/ledger/embedded.ts";
import type { EventDocument, Ledger, WorkloadDocument } from "../../shared/ledger/ledger.ts";
import type { SampleDelivery } from "../deliveries.ts";

const root = join(import.meta.dirname, "../..");
const startWithinMs = 20_000;
const stopWithinMs = 35_000;
const pollMs = 50;

export interface LandfallOptions {
  /** What `landfall.yaml` says; written as JSON, which is YAML too. */
  readonly config: object;
  /** Default: any free one; the same again after a restart. */
  readonly port?: number;
  /** Variables that the configuration names as `${NAME}`. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default: a file in its own folder. */
  readonly ledger?: {
    /** What `LANDFALL_LEDGER` says. */
    readonly setting: string;
    readonly open: () => Ledger;
  };
}

/** A Landfall of its own in a process of its own, as `npm start` runs it, with its ledger in a temporary folder. */
export interface Landfall {
  readonly url: string;
  /** The environment of `landfall` on the same machine. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Everything that it has printed, over all its starts. */
  log(): string;
  /** Sends a delivery and expects that it is accepted; the ids of the events that it became. */
  deliver(delivery: SampleDelivery): Promise<string>;
  /** Its ledger, read beside the process that writes it. */
  readonly ledger: Ledger;
  rollouts(): Promise<readonly Rollout[]>;
  events(): Promise<readonly EventDocument[]>;
  workloads(): Promise<readonly WorkloadDocument[]>;
  /** Waits until nothing is open and so many rollouts have ended, then returns all of them, oldest first. */
  ended(count: number, withinMs?: number): Promise<readonly Rollout[]>;
  /** Ctrl-C; fails unless the process ends with exit code 0. */
  stop(): Promise<void>;
  /** SIGKILL: nothing is put in order. */
  kill(): Promise<void>;
  /** Starts it again, on the same port and ledger. */
  restart(): Promise<void>;
  /** Stops it if it runs and removes its folder. */
  remove(): Promise<void>;
}

/** Starts Landfall and waits until it answers. */
export async function startLandfall(options: LandfallOptions): Promise<Landfall> {
  const folder = await mkdtemp(join(tmpdir(), "landfall-e2e-"));
  const ledgerPath = join(folder, "ledger.db");
  const configPath = join(folder, "landfall.yaml");
  const { setting: ledgerSetting, open: openLedger } = options.ledger ?? {
    setting: `file:${ledgerPath}`,
    open: () => embeddedLedger(ledgerPath, systemClock),
  };
  const env = {
    PATH: process.env.PATH,
    ...options.env,
    LANDFALL_CONFIG: configPath,
    LANDFALL_LEDGER: ledgerSetting,
  };
  await writeFile(configPath, JSON.stringify(options.config, undefined, 2));
  let printed = "";
  let child: ChildProcess | undefined;
  let port = options.port ?? 0;

  const start = async (): Promise<void> => {
    const printedBefore = printed.length;
    const started = spawn(process.execPath, ["functions/local/main.ts"], {
      cwd: root,
      env: { ...env, PORT: String(port) },
      stdio: ["ignore", "pipe", "pipe"],
    });
    child = started;
    for (const stream of [started.stdout, started.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        printed += text;
      });
    }
    for (const deadline = Date.now() + startWithinMs; ; await pause(pollMs)) {
      const listening = /listens on http:\/\/[^:\s]+:(\d+)/.exec(printed.slice(printedBefore));
      if (listening !== null) port = Number(listening[1]);
      if (listening !== null && (await isHealthy(port))) return;
      if (started.exitCode !== null || Date.now() > deadline) {
        started.kill("SIGKILL");
        throw new Error(`Landfall did not start:\n${printed.slice(printedBefore)}`);
      }
    }
  };
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    const ending = child;
    child = undefined;
    if (ending === undefined || ending.exitCode !== null) return ending?.exitCode ?? 0;
    const exited = once(ending, "exit", { signal: AbortSignal.timeout(stopWithinMs) });
    ending.kill(signal);
    await exited;
    return ending.exitCode;
  };
  const stop = async () => {
    const code = await end("SIGINT");
    if (code !== 0) throw new Error(`Landfall ended with ${code}:\n${printed}`);
  };

  try {
    await start();
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  const ledger = openLedger();
  const all = 10_000;
  const landfall: Landfall = {
    get url() {
      return `http://127.0.0.1:${port}`;
    },
    env,
    log: () => printed,
    async deliver({ path, headers, body }) {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method: "POST", headers, body });
      const text = await answer.text();
      if (answer.status !== 202) throw new Error(`the delivery was answered ${answer.status} ${text}`);
      return (JSON.parse(text) as { readonly event: string }).event;
    },
    ledger,
    rollouts: async () => (await ledger.rollouts({}, all)).map(({ value }) => value).toReversed(),
    events: async () =>
      (await ledger.events({ nowMs: Date.now() }, all)).map(({ value }) => value).toReversed(),
    workloads: async () => (await ledger.workloads()).map(({ value }) => value),
    async ended(count, withinMs = 60_000) {
      for (const deadline = Date.now() + withinMs; ; await pause(pollMs)) {
        const rollouts = await landfall.rollouts();
        const ended = rollouts.filter(({ times }) => times.finished !== undefined);
        const open = (await landfall.workloads()).filter((workload) => workload.open !== undefined);
        if (ended.length >= count && open.length === 0) return ended;
        if (Date.now() > deadline) {
          throw new Error(
            `${ended.length} of ${count} rollouts ended, ${open.length} workloads are open:\n${printed}`,
          );
        }
      }
    },
    stop,
    kill: async () => void (await end("SIGKILL")),
    restart: async () => {
      await stop();
      await start();
    },
    async remove() {
      try {
        await stop();
      } finally {
        await ledger.close();
        await rm(folder, { recursive: true, force: true });
      }
    },
  };
  return landfall;
}

async function isHealthy(port: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/health`, { signal: AbortSignal.timeout(1_000) })).ok;
  } catch {
    return false;
  }
}
