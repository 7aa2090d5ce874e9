import { randomBytes } from "node:crypto";
import { systemClock } from "../../shared/clock.ts";
import { environment, loadConfig } from "../../shared/config/load.ts";
import { watchedConfig } from "../../shared/config/watch.ts";
import { messageOf } from "../../shared/errors.ts";
import { storyLog } from "../../shared/log.ts";
import { version } from "../../shared/version.ts";
import { once } from "../wiring/once.ts";
import { wire } from "../wiring.ts";
import { onlyOf } from "./only.ts";
import { functionNames, type Runner, startRunner } from "./runner.ts";
import { firstRollout, sandboxConfig } from "./sandbox/first-rollout.ts";
import { type Sandbox, startSandbox } from "./sandbox/sandbox.ts";

const sandboxStateFile = ".landfall/sandbox.json";
const stopWithinMs = 30_000;

/**
 * `npm start`: all three functions in one process; without `LANDFALL_CONFIG` over a sandbox of its own. `npm start --
 * --only builds,reconcile`: some of them, with the others in other processes on the same bus and ledger.
 */
async function main(): Promise<void> {
  const settings = environment();
  const only = onlyOf(process.argv.slice(2), settings);
  const log = storyLog();
  const stopping = new AbortController();
  const timerToken = randomBytes(24).toString("base64url");
  const hookSecret = randomBytes(24).toString("base64url");
  let runner: Runner | undefined;
  let sandbox: Sandbox | undefined;
  if (settings.config === undefined) {
    sandbox = await startSandbox({
      clock: systemClock,
      registryPort: settings.port === 0 ? 0 : settings.port + 1,
      notify: () => (runner === undefined ? undefined : `${runner.url}/hooks/distribution/${hookSecret}`),
      ...(settings.ledger.kind === "memory" ? {} : { stateFile: sandboxStateFile }),
    });
  }
  const sandboxed = sandbox;
  const config =
    settings.config === undefined
      ? once(() => loadConfig({ path: "sandbox", read: () => sandboxConfig(sandboxed, hookSecret) }))
      : watchedConfig({ path: settings.config, clock: systemClock, log });
  await config();

  const wiring = wire({
    settings,
    config,
    log,
    clock: systemClock,
    stopping: stopping.signal,
    alsoCallers: [{ kind: "bearer", token: timerToken, by: "timer" }],
  });
  const delivers = settings.bus.kind !== "pubsub";
  if (!delivers && only.includes("builds")) {
    log.write("warning", "LANDFALL_BUS: `pubsub:` only publishes: builds waits for messages at /events");
  }
  runner = await startRunner({
    wiring,
    only,
    delivers,
    port: settings.port,
    host: sandbox === undefined ? "0.0.0.0" : "127.0.0.1",
    comparing: true,
    timerToken,
  });
  const part = only.length < functionNames.length ? ` (${only.join(", ")})` : "";
  log.write("notice", `Landfall ${version}${part} listens on ${runner.url}`);
  onSignal(async () => {
    stopping.abort();
    await runner?.stop();
    await sandbox?.stop();
  });
  if (sandbox !== undefined) await firstRollout({ sandbox, wiring, runner, log, stopping: stopping.signal });
}

/** npm passes on a signal that the terminal has sent already: so soon a second one is no wish of its own. */
const sameSignalMs = 1_000;

/** The first signal stops in order, a later one at once. */
function onSignal(stop: () => Promise<void>): void {
  let stoppedMs: number | undefined;
  const handle = () => {
    const nowMs = systemClock.monotonic();
    if (stoppedMs !== undefined) {
      if (nowMs - stoppedMs > sameSignalMs) process.exit(1);
      return;
    }
    stoppedMs = nowMs;
    process.stdout.write("\nstopping; what is in flight is on record and goes on at the next start\n");
    setTimeout(() => process.exit(1), stopWithinMs).unref();
    stop().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`landfall: ${messageOf(error)}\n`);
        process.exit(1);
      },
    );
  };
  process.on("SIGINT", handle);
  process.on("SIGTERM", handle);
}

main().catch((error: unknown) => {
  const taken = error instanceof Error && "code" in error && error.code === "EADDRINUSE";
  const advice = taken ? "; start with another PORT, e.g. PORT=9000 npm start" : "";
  process.stderr.write(`landfall: ${messageOf(error)}${advice}\n`);
  process.exit(1);
});
