import { afterEach, beforeEach, expect, it } from "vitest";
import { type Runner, startRunner } from "../../functions/local/runner.ts";
import { type Wiring, wire } from "../../functions/wiring.ts";
import { systemClock } from "../../shared/clock.ts";
import { loadConfig } from "../../shared/config/load.ts";
import { fullRunLease } from "../../shared/flows/drift-turn.ts";
import type { Log } from "../../shared/log.ts";

const timerToken = "a-token-for-the-timer-alone";

let wiring: Wiring;
let runner: Runner;
let alarms: string[];

beforeEach(async () => {
  alarms = [];
  const log: Log = {
    write: (severity, message) => void (severity === "error" ? alarms.push(message) : undefined),
  };
  const loaded = await loadConfig({ path: "a test's", text: 'follow: ["docker.io/acme/*"]' });
  wiring = wire({
    settings: { ledger: { kind: "memory" } },
    config: async () => loaded,
    log,
    clock: systemClock,
    alsoCallers: [{ kind: "bearer", token: timerToken, by: "timer" }],
  });
  runner = await startRunner({ wiring, port: 0, host: "127.0.0.1", timerToken });
});
afterEach(() => runner.stop());

async function lease() {
  return (await (await wiring.flows()).ledger.get("leases", fullRunLease))?.value;
}

it("compares what runs with what is wanted in the timer's name, and not at its start", async () => {
  expect(await lease()).toBeUndefined();
  await runner.compare();
  const { ledger } = await wiring.flows();
  expect((await ledger.get("reports", (await lease())?.report ?? ""))?.value).toMatchObject({ by: "timer" });
  expect(alarms).toEqual([]);
});

it("lets another one's full run go on without an alarm", async () => {
  const { ledger } = await wiring.flows();
  const value = { holder: { id: "drift-0", by: "ada", untilMs: (await ledger.clock()) + 3_600_000 } };
  await ledger.commit("other", [{ collection: "leases", id: fullRunLease, expect: 0, value }]);
  await runner.compare();
  expect(await lease()).toEqual(value);
  expect(alarms).toEqual([]);
});
