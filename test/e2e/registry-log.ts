import { randomUUID } from "node:crypto";
import { open, stat } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { testbed } from "./testbed.ts";

const bed = testbed();
const writtenWithinMs = 10_000;

/** A call for a manifest, as the open registry's own access log has it. */
export interface LoggedCall {
  readonly method: string;
  /** Without the host, e.g. `acme/web`. */
  readonly repository: string;
  /** Tag or digest. */
  readonly reference: string;
  readonly status: number;
  /** Bytes of the answer's body; of a HEAD those that a GET would have had. */
  readonly bytes: number;
  /** e.g. `landfall/0.1.0` */
  readonly agent: string;
}

export interface RegistryLog {
  /** Everything that was answered since the log was opened, oldest first. */
  calls(): Promise<readonly LoggedCall[]>;
  /** Paths of blobs that this agent has asked for since then. */
  blobs(agent: RegExp): Promise<readonly string[]>;
  /** Bytes that this agent was sent since then from below a path, e.g. `/v2/acme/web/`. */
  sent(agent: RegExp, below: string): Promise<number>;
}

/** The open registry's log from now on. */
export async function registryLog(): Promise<RegistryLog> {
  const { size: from } = await stat(bed.registryLog);
  const lines = async () => (await read(from)).split("\n").flatMap(lineOf);
  return {
    calls: async () =>
      (await lines()).flatMap(({ path, ...rest }) => {
        const [, repository = "", reference] = /^\/v2\/(.+)\/manifests\/([^/?]+)$/.exec(path) ?? [];
        return reference === undefined ? [] : [{ ...rest, repository, reference }];
      }),
    blobs: async (agent) =>
      (await lines())
        .filter((line) => agent.test(line.agent) && line.path.includes("/blobs/"))
        .map(({ path }) => path),
    sent: async (agent, below) =>
      (await lines())
        .filter((line) => agent.test(line.agent) && line.path.startsWith(below) && line.method !== "HEAD")
        .reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

/** What the log holds behind this place, once it surely has all that was answered before this call. */
async function read(from: number): Promise<string> {
  const mark = `landfall-test-${randomUUID()}`;
  await fetch(`http://${bed.registry}/v2/`, { headers: { "user-agent": mark } });
  for (const deadline = Date.now() + writtenWithinMs; ; await pause(20)) {
    const file = await open(bed.registryLog);
    try {
      const { size } = await file.stat();
      const bytes = Buffer.alloc(Math.max(0, size - from));
      await file.read(bytes, 0, bytes.length, from);
      const text = bytes.toString("utf8");
      if (text.includes(mark)) return text;
    } finally {
      await file.close();
    }
    if (Date.now() > deadline) {
      throw new Error(`${bed.registryLog} does not show a call that ${bed.registry} has answered`);
    }
  }
}

type Line = Pick<LoggedCall, "method" | "status" | "bytes" | "agent"> & { readonly path: string };

/** The combined log format: `… "GET /v2/… HTTP/1.1" 200 428 "" "docker/20.10"`. Other lines are messages. */
function lineOf(text: string): readonly Line[] {
  const match = /"([A-Z]+) (\S+) HTTP\/[\d.]+" (\d{3}) (\d+) "[^"]*" "([^"]*)"$/.exec(text);
  if (match === null) return [];
  const [, method = "", path = "", status, bytes, agent = ""] = match;
  return [{ method, path, status: Number(status), bytes: Number(bytes), agent }];
}
