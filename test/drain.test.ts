import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it, vi } from "vitest";

const framework = createRequire(import.meta.url).resolve("@google-cloud/functions-framework");
const main = fileURLToPath(new URL("main.js", `file://${framework}`));
const source = fileURLToPath(new URL("processes/slow-function.ts", import.meta.url));

const waiting = { timeout: 15_000, interval: 10 };

let child: ChildProcess | undefined;
/** What the child has said so far. */
let words: unknown[];

afterEach(() => {
  child?.kill("SIGKILL");
});

describe("drainOnSignals, under the Functions Framework", () => {
  it.each<NodeJS.Signals>(["SIGTERM", "SIGINT"])(
    "finishes the requests in flight after %s and exits with 0",
    async (signal) => {
      const { process, port } = await serve();
      const answers = [1, 2].map(() => fetch(`http://127.0.0.1:${port}/`));
      await told("heard", 2);
      process.kill(signal);
      await told("stopping", 1);
      const exited = once(process, "exit");
      process.send("go on");
      const bodies = await Promise.all(answers.map(async (answer) => (await answer).text()));
      expect(bodies).toEqual(["done", "done"]);
      expect(await exited).toEqual([0, null]);
    },
  );

  it("exits with 0 at once when nothing is in flight", async () => {
    const { process } = await serve();
    const exited = once(process, "exit");
    process.kill("SIGTERM");
    expect(await exited).toEqual([0, null]);
  });
});

async function serve(): Promise<{ process: ChildProcess; port: number }> {
  const port = await freePort();
  const started = spawn(process.execPath, [main, `--source=${source}`, "--target=slow", `--port=${port}`], {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
  child = started;
  words = [];
  started.on("message", (word) => words.push(word));
  let output = "";
  for await (const chunk of started.stdout ?? []) {
    output += String(chunk);
    if (output.includes("URL:")) break;
  }
  return { process: started, port };
}

function told(word: string, times: number): Promise<void> {
  return vi.waitFor(() => expect(words.filter((each) => each === word)).toHaveLength(times), waiting);
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
