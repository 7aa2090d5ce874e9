import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

/** What an instance asked of its ledger. */
export interface Spent {
  readonly commits: number;
  /** Commits that came too late: somebody else had written. */
  readonly conflicts: number;
  /** Documents, as they are billed: conflicts cost reads, too. */
  readonly reads: number;
  readonly writes: number;
  /** Codes of answers that were neither a result nor a conflict, e.g. 10 for ABORTED. */
  readonly disturbed: readonly number[];
  /** How long each commit took, ms. */
  readonly commitsMs: readonly number[];
}

/** Instances of the builds function, each a process, behind one address. */
export interface Fleet {
  /** Hands each request to an instance picked at random, as Cloud Run does. */
  readonly origin: string;
  /** Status of each answer, oldest first; 502 where an instance gave none. */
  readonly answers: readonly number[];
  /** All instances together, since it was last asked. */
  spent(): Promise<Spent>;
  stop(): Promise<void>;
}

const instanceOf = join(import.meta.dirname, "processes/builds.ts");

export async function startFleet(
  size: number,
  env: Readonly<Record<string, string>>,
  random: () => number,
): Promise<Fleet> {
  const instances = Array.from({ length: size }, () => fork(instanceOf, { env, silent: true }));
  const logs = instances.map(logOf);
  const ports = await Promise.all(
    instances.map(async (instance, n) => {
      const started = await Promise.race([once(instance, "message"), once(instance, "exit")]);
      if (instance.exitCode !== null) throw new Error(`an instance did not start:\n${logs[n]?.()}`);
      return Number(started[0]);
    }),
  );
  const answers: number[] = [];
  const balancer = createServer(async (request, response) => {
    const port = ports[Math.floor(random() * size)] ?? 0;
    // Without an answer the sender delivers again, as it does when an instance is gone.
    const status = await handOn(request, `http://127.0.0.1:${port}${request.url}`).catch(() => 502);
    answers.push(status);
    response.writeHead(status).end();
  }).listen(0, "127.0.0.1");
  await once(balancer, "listening");

  return {
    origin: `http://127.0.0.1:${(balancer.address() as AddressInfo).port}`,
    answers,
    spent: async () => {
      const each = await Promise.all(
        instances.map(async (instance): Promise<Spent> => {
          const answered = once(instance, "message");
          instance.send("spent?");
          return (await answered)[0];
        }),
      );
      return each.reduce(together);
    },
    stop: async () => {
      balancer.close();
      balancer.closeAllConnections();
      await Promise.all(
        instances.map(async (instance) => {
          const exited = once(instance, "exit");
          if (instance.kill("SIGKILL")) await exited;
        }),
      );
    },
  };
}

/** @returns the answer's status */
async function handOn(request: IncomingMessage, url: string): Promise<number> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const headers = Object.entries(request.headers).filter(
    ([name]) => name === "content-type" || name.startsWith("ce-"),
  );
  const answer = await fetch(url, {
    method: "POST",
    headers: headers.map(([name, value]): [string, string] => [name, String(value)]),
    body: Buffer.concat(chunks),
  });
  await answer.arrayBuffer();
  return answer.status;
}

function logOf(instance: ChildProcess): () => string {
  let printed = "";
  for (const stream of [instance.stdout, instance.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
    });
  }
  return () => printed;
}

function together(one: Spent, other: Spent): Spent {
  return {
    commits: one.commits + other.commits,
    conflicts: one.conflicts + other.conflicts,
    reads: one.reads + other.reads,
    writes: one.writes + other.writes,
    disturbed: [...one.disturbed, ...other.disturbed],
    commitsMs: [...one.commitsMs, ...other.commitsMs],
  };
}
