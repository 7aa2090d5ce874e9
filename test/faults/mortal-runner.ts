import { randomBytes } from "node:crypto";
import { flushCompileCache } from "node:module";
import { type Runner, startRunner } from "../../functions/local/runner.ts";
import { wire } from "../../functions/wiring.ts";
import { type Clock, systemClock } from "../../shared/clock.ts";
import { loadConfig } from "../../shared/config/load.ts";
import type { FaultPoint, Recorder } from "../../shared/flows/recorder.ts";
import type { Log } from "../../shared/log.ts";

/** What the parent of this process may ask of it. */
export type Order =
  /** `aheadMs`: how far this process's clock is ahead of the machine's. */
  | { readonly kind: "start"; readonly config: string; readonly ledger: string; readonly aheadMs: number }
  /** Kill yourself right before or after the n-th step of that name from now on, the first one is 1. */
  | {
      readonly kind: "die";
      readonly point: FaultPoint;
      readonly nth: number;
      readonly side: "before" | "after";
    }
  /** Stop right before the next step of that name, until `release`. */
  | { readonly kind: "hold"; readonly point: FaultPoint }
  | { readonly kind: "release" }
  | { readonly kind: "sweep" };

export type Report =
  | { readonly kind: "loaded" }
  | { readonly kind: "listening"; readonly url: string }
  | { readonly kind: "point"; readonly point: FaultPoint }
  | { readonly kind: "held" }
  | { readonly kind: "swept" }
  | { readonly kind: "log"; readonly severity: string; readonly message: string; readonly outcome?: string };

// Forked: Landfall as `npm start` runs it, whose parent sees each of its steps, and can hold one back or make it the last.
const report = (what: Report): void => void process.send?.(what);
let death: (Order & { kind: "die" }) | undefined;
let left = 0;
let hold: FaultPoint | undefined;
let release = (): void => {};
let runner: Runner | undefined;

const recorder: Recorder = {
  step: async (point, act) => {
    report({ kind: "point", point });
    if (hold === point) {
      hold = undefined;
      const released = Promise.withResolvers<void>();
      release = released.resolve;
      report({ kind: "held" });
      await released.promise;
    }
    const isLast = point === death?.point && --left === 0;
    if (isLast && death?.side === "before") die();
    const acting = act();
    if (isLast) {
      await acting.catch(() => {});
      die();
    }
    return acting;
  },
};

const log: Log = {
  write: (severity, message, fields) => {
    const outcome = fields?.outcome;
    report({
      kind: "log",
      severity,
      message,
      ...(typeof outcome === "string" ? { outcome } : {}),
    });
  },
};

function die(): void {
  process.kill(process.pid, "SIGKILL");
}

async function start({ config, ledger, aheadMs }: Order & { kind: "start" }): Promise<void> {
  const clock: Clock = { ...systemClock, now: () => systemClock.now() + aheadMs };
  const timerToken = randomBytes(24).toString("base64url");
  const loaded = await loadConfig({ path: "a test's", text: config });
  const wiring = wire({
    settings: { ledger: { kind: "file", path: ledger } },
    config: async () => loaded,
    log,
    clock,
    recorder,
    alsoCallers: [{ kind: "bearer", token: timerToken }],
  });
  runner = await startRunner({ wiring, port: 0, host: "127.0.0.1", timerToken });
  report({ kind: "listening", url: runner.url });
}

process.on("message", (order: Order) => {
  switch (order.kind) {
    case "start":
      return void start(order);
    case "die":
      death = order;
      left = order.nth;
      return;
    case "hold":
      hold = order.point;
      return;
    case "release":
      return release();
    case "sweep":
      return void runner?.sweep().then(() => report({ kind: "swept" }));
    default:
      return order satisfies never;
  }
});
process.on("disconnect", () => process.exit(0));
// It may never end by itself, when Node would keep what it has compiled.
flushCompileCache();
report({ kind: "loaded" });
