import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Metafile } from "esbuild";
import { buildFunction } from "../../infra/build/build-function.ts";
import { type FunctionName, framework, functionNames } from "../../infra/build/bundle.ts";

const root = join(import.meta.dirname, "../..");
const startWithinMs = 60_000;
const stopWithinMs = 15_000;
const firstPort = 20_000;
const ports = 10_000;
const given = new Set<number>();

/** The deployable folders, somewhere that nothing of the project can be found from. */
export interface Built {
  readonly folder: string;
  readonly metafiles: Readonly<Record<FunctionName, Metafile>>;
  remove(): Promise<void>;
}

export async function buildAll(): Promise<Built> {
  const folder = await mkdtemp(join(tmpdir(), "landfall-built-"));
  const metafiles = await Promise.all(
    functionNames.map(async (name) => [name, await buildFunction(name, join(folder, name))] as const),
  );
  return {
    folder,
    metafiles: Object.fromEntries(metafiles) as Built["metafiles"],
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** What `npm ci` puts into each folder by its own lock file, from here instead of a registry: they name the same. */
export async function install({ folder }: Pick<Built, "folder">): Promise<void> {
  for (const name of functionNames) {
    const { packages } = await readLockFile(folder, name);
    const places = Object.keys(packages).filter((each) => each !== "");
    await Promise.all(
      places.map(async (place) => {
        const from = join(root, place);
        await cp(from, join(folder, name, place), {
          recursive: true,
          // A package within another has a place of its own.
          filter: (source) => !source.slice(from.length).includes("node_modules"),
        });
      }),
    );
  }
}

/** The parts of a lock file that tests look at. */
export interface LockFile {
  readonly packages: Readonly<
    Record<string, { readonly version: string; readonly integrity?: string; readonly dev?: boolean }>
  >;
}

export async function readLockFile(folder: string, name: FunctionName): Promise<LockFile> {
  return JSON.parse(await readFile(join(folder, name, "package-lock.json"), "utf8"));
}

/** A built function as a process of the Functions Framework, which knows its folder and nothing else. */
export interface Served {
  readonly port: number;
  readonly origin: string;
  /** Everything that it has printed. */
  log(): string;
  /** @returns the process's exit code, or the signal that ended it */
  stop(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals | null>;
}

/** @param port any free one by default */
export async function serve(
  { folder }: Pick<Built, "folder">,
  name: FunctionName,
  env: Readonly<Record<string, string>>,
): Promise<Served> {
  const port = await freePort();
  const own = join(folder, name);
  const main = join(own, "node_modules", framework, "build/src/main.js");
  const child = spawn(process.execPath, [main, `--target=${name}`], {
    cwd: own,
    env: { ...env, PORT: String(port), NODE_ENV: "production" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
    });
  }
  const origin = `http://127.0.0.1:${port}`;
  for (const deadline = Date.now() + startWithinMs; !(await answers(origin)); await pause(20)) {
    if (child.exitCode !== null || Date.now() > deadline) {
      child.kill("SIGKILL");
      throw new Error(`${name} did not start:\n${printed}`);
    }
  }
  return { port, origin, log: () => printed, stop: (signal = "SIGTERM") => end(child, signal) };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | NodeJS.Signals | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, "exit", { signal: AbortSignal.timeout(stopWithinMs) });
    child.kill(signal);
    await exited;
  }
  return child.exitCode ?? child.signalCode;
}

async function answers(origin: string): Promise<boolean> {
  try {
    await fetch(`${origin}/robots.txt`);
    return true;
  } catch {
    return false;
  }
}

/** Below those that a machine gives by itself, and never the same twice: several processes may be about to listen. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = firstPort + randomInt(ports);
    if (given.has(port)) continue;
    given.add(port);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!isFree) continue;
    server.close();
    await once(server, "close");
    return port;
  }
}
