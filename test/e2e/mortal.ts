import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { FaultPoint } from "../../shared/flows/recorder.ts";
import type { SampleDelivery } from "../deliveries.ts";
import type { Order, Report } from "../faults/mortal-runner.ts";

export type Death = Omit<Order & { kind: "die" }, "kind">;

/** A process of Landfall that a test can see, hold and kill at each of its steps. */
export interface MortalLandfall {
  /** The steps that it has begun since it was started or last told when to die. */
  readonly points: readonly FaultPoint[];
  readonly logged: readonly (Report & { kind: "log" })[];
  start(options: Omit<Order & { kind: "start" }, "kind">): Promise<void>;
  /** Sends a delivery; it need not be answered, for the process may die over it. */
  deliver(delivery: SampleDelivery): Promise<void>;
  dieAt(death: Death): void;
  /** Resolves when the process waits right before that step. */
  holdAt(point: FaultPoint): Promise<void>;
  release(): void;
  /** Sweeps now, as its timer does each minute; resolves at its end, or the process's. */
  sweep(): Promise<void>;
  readonly died: Promise<NodeJS.Signals | null>;
  kill(): Promise<void>;
}

/** A process with everything loaded, so that its start takes no time. */
export function mortalLandfall(): MortalLandfall {
  const child = fork(join(import.meta.dirname, "../faults/mortal-runner.ts"), {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const logged: (Report & { kind: "log" })[] = [];
  let points: FaultPoint[] = [];
  let url = "";
  const waiting = new Map<Report["kind"], () => void>();
  const reported = (kind: Report["kind"]) =>
    new Promise<void>((resolve) => {
      waiting.set(kind, resolve);
    });
  const loaded = reported("loaded");
  const died = once(child, "exit").then(([, signal]) => signal as NodeJS.Signals | null);
  const order = (what: Order): void => {
    child.send(what, () => {}); // it may be dead
  };
  child.on("message", (report: Report) => {
    if (report.kind === "point") points.push(report.point);
    if (report.kind === "log") logged.push(report);
    if (report.kind === "listening") ({ url } = report);
    waiting.get(report.kind)?.();
  });
  const unlessDead = (kind: Report["kind"]) =>
    Promise.race([
      reported(kind),
      died.then(() => {
        throw new Error(`the process ended before it was ${kind}: ${JSON.stringify(logged.slice(-5))}`);
      }),
    ]);

  return {
    get points() {
      return points;
    },
    logged,
    start: async (options) => {
      await loaded;
      const listening = unlessDead("listening");
      order({ kind: "start", ...options });
      await listening;
    },
    deliver: async ({ path, headers, body }) => {
      const answered = fetch(`${url}${path}`, { method: "POST", headers, body }).then(
        ({ status }) => status,
        () => undefined,
      );
      const status = await Promise.race([answered, died]);
      if (typeof status === "number" && status !== 202)
        throw new Error(`the delivery was answered ${status}`);
    },
    dieAt: (death) => {
      points = [];
      order({ kind: "die", ...death });
    },
    holdAt: (point) => {
      const held = unlessDead("held");
      order({ kind: "hold", point });
      return held;
    },
    release: () => order({ kind: "release" }),
    sweep: async () => {
      const swept = reported("swept");
      order({ kind: "sweep" });
      await Promise.race([swept, died]);
    },
    died,
    kill: async () => {
      child.kill("SIGKILL");
      await died;
    },
  };
}
