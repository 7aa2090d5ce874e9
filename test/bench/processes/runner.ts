import { startRunner } from "../../../functions/local/runner.ts";
import { wire } from "../../../functions/wiring.ts";
import { systemClock } from "../../../shared/clock.ts";
import { environment } from "../../../shared/config/load.ts";
import { watchedConfig } from "../../../shared/config/watch.ts";
import type { FaultPoint } from "../../../shared/flows/recorder.ts";
import { jsonLog } from "../../../shared/log.ts";
import { refDocument } from "../../contracts/documents.ts";

/** A write or a call of a flow, ms since the epoch with fractions. */
export interface Step {
  readonly point: FaultPoint;
  readonly fromMs: number;
  readonly toMs: number;
}

export type RunnerWord =
  | { readonly kind: "listening"; readonly url: string }
  /** A rollout has ended; the steps are all since the last one. */
  | { readonly kind: "finished"; readonly heardMs: number; readonly steps: readonly Step[] }
  /** What commits of one small document took, one after the other. */
  | { readonly kind: "committed"; readonly tookMs: number };

// LANDFALL_CONFIG=… LANDFALL_LEDGER=… PORT=0, forked: `npm start` without a sandbox, on a clock that shows fractions of a
// millisecond. Told a number, it commits so many times to the same ledger.
const settings = environment();
const now = () => performance.timeOrigin + performance.now();
let steps: Step[] = [];

const clock = { ...systemClock, now };
const log = jsonLog();
const wiring = wire({
  settings,
  config: watchedConfig({ path: settings.config ?? "", clock, log }),
  log,
  clock,
  recorder: {
    step: async (point, act) => {
      const fromMs = now();
      const answer = await act();
      steps.push({ point, fromMs, toMs: now() });
      if (point === "workload.finish") setImmediate(() => void report());
      return answer;
    },
  },
  alsoCallers: [{ kind: "bearer", token: "timer" }],
});
const runner = await startRunner({ wiring, port: settings.port, host: "127.0.0.1", timerToken: "timer" });
const { ledger } = await wiring.flows();
say({ kind: "listening", url: runner.url });

async function report(): Promise<void> {
  const [newest] = await ledger.rollouts({}, 1);
  say({ kind: "finished", heardMs: newest?.value.times.heard ?? Number.NaN, steps });
  steps = [];
}

async function commit(times: number): Promise<void> {
  const id = "docker.io/acme/bench:v1";
  const rev = (await ledger.get("refs", id))?.rev ?? 0;
  const value = refDocument({ tag: "bench" });
  const fromMs = now();
  for (let done = 0; done < times; done++) {
    await ledger.commit("bench", [{ collection: "refs", id, value, expect: rev + done }]);
  }
  say({ kind: "committed", tookMs: now() - fromMs });
}

function say(word: RunnerWord): void {
  process.send?.(word);
}

process.on("message", (times) => void commit(Number(times)));
process.on("disconnect", () => process.exit(0));
