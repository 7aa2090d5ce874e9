import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { SampleDelivery } from "../deliveries.ts";

/** A function as it is deployed: a process of the Functions Framework's own command. */
export interface DeployedFunction {
  readonly source: URL;
  readonly target: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly request: SampleDelivery;
  /** The status that `request` is answered with. */
  readonly status: number;
}

export interface Served {
  readonly origin: string;
  /** From the start of the process to the end of its first answer, ms. */
  readonly firstAnswerMs: number;
  /** CPU time of the thread that JavaScript runs on, ms; in steps of 10. `undefined` where /proc does not tell. */
  cpuMs(): number | undefined;
  /** Resident memory, MiB; `undefined` where /proc does not tell. */
  residentMiB(): number | undefined;
  /** The most that it ever was. */
  peakMiB(): number | undefined;
  /** @throws Error unless it answers with the status of its first request */
  send(request: SampleDelivery): Promise<void>;
  stop(): Promise<void>;
}

const framework = createRequire(import.meta.url).resolve("@google-cloud/functions-framework");
const main = fileURLToPath(new URL("main.js", `file://${framework}`));
const patienceMs = 20_000;

/** Starts a function and sends it its first request as soon as it listens. Its log goes nowhere. */
export async function serve(deployed: DeployedFunction): Promise<Served> {
  const { source, target, env = {} } = deployed;
  const port = await freePort();
  const startedMs = performance.now();
  const args = [main, `--source=${fileURLToPath(source)}`, `--target=${target}`, `--port=${port}`];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, NODE_ENV: "production", ...env },
  });
  try {
    for (;;) {
      const status = await send(port, deployed.request);
      if (status === deployed.status) break;
      if (status !== undefined) throw new Error(`${target} answered ${status} instead of ${deployed.status}`);
      if (child.exitCode !== null) throw new Error(`${target} ended before it answered`);
      if (performance.now() - startedMs > patienceMs) throw new Error(`${target} does not answer`);
      await pause(2);
    }
  } catch (error) {
    await end(child);
    throw error;
  }
  const firstAnswerMs = performance.now() - startedMs;
  return {
    origin: `http://127.0.0.1:${port}`,
    firstAnswerMs,
    cpuMs: () => {
      // https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: utime and stime, in ticks of 10 ms.
      const fields = proc(child, "stat")
        ?.replace(/^.*\) /s, "")
        .split(" ");
      return fields === undefined ? undefined : (Number(fields[11]) + Number(fields[12])) * 10;
    },
    residentMiB: () => memoryOf(child, "VmRSS"),
    peakMiB: () => memoryOf(child, "VmHWM"),
    send: async (request) => {
      const status = await send(port, request);
      if (status !== deployed.status)
        throw new Error(`${target} answered ${status} instead of ${deployed.status}`);
    },
    stop: () => end(child),
  };
}

/** @returns the answer's status; `undefined` when nobody listens yet */
function send(port: number, { path, headers, body }: SampleDelivery): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        host: "127.0.0.1",
        port,
        path,
        method: "POST",
        headers: { ...headers, "content-length": Buffer.byteLength(body) },
        agent: false,
      },
      (response) => response.resume().on("end", () => resolve(response.statusCode)),
    );
    request.on("error", (error) => {
      if ("code" in error && error.code === "ECONNREFUSED") resolve(undefined);
      else reject(error);
    });
    request.end(body);
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

/** https://man7.org/linux/man-pages/man5/proc_pid_status.5.html, MiB */
function memoryOf(child: ChildProcess, field: "VmRSS" | "VmHWM"): number | undefined {
  const kib = new RegExp(`${field}:\\s+(\\d+) kB`).exec(proc(child, "status") ?? "")?.[1];
  return kib === undefined ? undefined : Number(kib) / 1024;
}

function proc(child: ChildProcess, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${child.pid}/${file}`, "utf8");
  } catch {
    return undefined;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}
