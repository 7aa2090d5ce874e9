import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { systemClock } from "../../shared/clock.ts";
import { embeddedLedger } from "../../shared/ledger/embedded.ts";
import { nodeEnvironment } from "../node-environment.ts";
import type { LandfallOptions, Running } from "./landfall.ts";

const root = join(import.meta.dirname, "../..");
const startWithinMs = 20_000;
const stopWithinMs = 35_000;
const pollMs = 50;

/** The sources in one process, as `npm start` runs them, with the ledger in a temporary folder. */
export async function startFromSources({
  config,
  ledger: own,
  env: variables,
}: LandfallOptions): Promise<Running> {
  const folder = await mkdtemp(join(tmpdir(), "landfall-e2e-"));
  const ledgerPath = join(folder, "ledger.db");
  const configPath = join(folder, "landfall.yaml");
  await writeFile(configPath, JSON.stringify(config, undefined, 2));
  const env = {
    ...nodeEnvironment(),
    ...variables,
    LANDFALL_CONFIG: configPath,
    LANDFALL_LEDGER: own?.setting ?? `file:${ledgerPath}`,
  };
  const child = spawn(process.execPath, ["functions/local/main.ts"], {
    cwd: root,
    env: { ...env, PORT: "0" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
    });
  }
  let url: string | undefined;
  for (const deadline = Date.now() + startWithinMs; ; await pause(pollMs)) {
    url = /listens on (http:\/\/[^:\s]+:\d+)/.exec(printed)?.[1];
    if (url !== undefined && (await isHealthy(url))) break;
    if (child.exitCode !== null || Date.now() > deadline) {
      child.kill("SIGKILL");
      await rm(folder, { recursive: true, force: true });
      throw new Error(`Landfall did not start:\n${printed}`);
    }
  }
  const ledger = own?.open() ?? embeddedLedger(ledgerPath, systemClock);
  return {
    url,
    env,
    log: () => printed,
    ledger,
    pollMs,
    async remove() {
      try {
        if (child.exitCode === null) {
          const exited = once(child, "exit", { signal: AbortSignal.timeout(stopWithinMs) });
          child.kill("SIGINT");
          await exited;
        }
        if (child.exitCode !== 0) throw new Error(`Landfall ended with ${child.exitCode}:\n${printed}`);
      } finally {
        await ledger.close();
        await rm(folder, { recursive: true, force: true });
      }
    },
  };
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/health`, { signal: AbortSignal.timeout(1_000) })).ok;
  } catch {
    return false;
  }
}
