import { Pool } from "undici";
import { type DeployedFunction, type Served, serve } from "./framework.ts";
import type { Functions } from "./functions.ts";
import type { Report } from "./report.ts";
import { medianOf, spreadOf } from "./spread.ts";

const connections = 16;
const rounds = 9;
const warmUpMs = 1_500;
const roundMs = 500;

/** What one round of load on one function came to. */
interface Round {
  readonly perSecond: number;
  /** CPU of the function's main thread for a request, µs; absent where /proc does not tell. */
  readonly cpuUs?: number;
  /** Share of the round in which that thread had the CPU. */
  readonly busy?: number;
}

/** Accepted pushes a second beside an empty function that reads the same body; the functions take turns in one run. */
export async function measureWebhook(functions: Functions): Promise<Report> {
  const [empty, atOnce, embedded] = await Promise.all([
    loaded(functions.empty),
    loaded(functions.webhook),
    loaded(functions.embeddedWebhook),
  ]);
  const under = [empty, atOnce, embedded];
  try {
    for (const each of under) await each.load(warmUpMs);
    for (let round = 0; round < rounds; round++) {
      for (const each of under) each.rounds.push(await each.load(roundMs));
    }
  } finally {
    await Promise.all(under.map((each) => each.stop()));
  }
  const row = (what: string, ours: Loaded) => {
    const ratios = ours.rounds.map(
      (each, index) => each.perSecond / (empty.rounds[index]?.perSecond ?? Number.NaN),
    );
    return {
      what,
      ours: medianOf(ours.rounds.map((each) => each.perSecond)),
      unit: "/s",
      beside: { name: "empty function", value: medianOf(empty.rounds.map((each) => each.perSecond)) },
      compared: { as: "ratio", value: medianOf(ratios), spread: spreadOf(ratios) },
    } as const;
  };
  const cpu = (each: Loaded) => each.rounds.flatMap(({ cpuUs }) => cpuUs ?? []);
  const busy = under.map((each) => each.rounds.flatMap((round) => round.busy ?? []));
  return {
    rows: [
      { ...row("webhook, bus accepts at once", atOnce), budget: { at: "least", value: 0.7 } },
      row("webhook, embedded bus (on disk)", embedded),
      ...(cpu(empty).length === 0
        ? []
        : [
            {
              what: "webhook, bus accepts at once: main thread's CPU of a push",
              ours: medianOf(cpu(atOnce)),
              unit: "µs",
              beside: { name: "empty function", value: medianOf(cpu(empty)) },
              compared: { as: "ratio", value: medianOf(cpu(atOnce)) / medianOf(cpu(empty)) },
            } as const,
          ]),
    ],
    notes: busy.every((each) => each.length > 0)
      ? [
          `webhook: the functions had the CPU for ${busy.map((each) => `${Math.round(100 * medianOf(each))}%`).join(", ")} of their rounds (empty, at once, embedded)`,
        ]
      : [],
  };
}

interface Loaded {
  readonly rounds: Round[];
  load(forMs: number): Promise<Round>;
  stop(): Promise<void>;
}

async function loaded(deployed: DeployedFunction): Promise<Loaded> {
  const served: Served = await serve(deployed);
  const pool = new Pool(served.origin, { connections, pipelining: 1 });
  const send = () => post(pool, deployed);
  return {
    rounds: [],
    async load(forMs) {
      let answered = 0;
      const cpuBefore = served.cpuMs();
      const startedMs = performance.now();
      const sender = async () => {
        while (performance.now() - startedMs < forMs) {
          await send();
          answered++;
        }
      };
      await Promise.all(Array.from({ length: connections }, sender));
      const tookMs = performance.now() - startedMs;
      const cpuAfter = served.cpuMs();
      const perSecond = (1_000 * answered) / tookMs;
      if (cpuBefore === undefined || cpuAfter === undefined) return { perSecond };
      const cpuMs = cpuAfter - cpuBefore;
      return { perSecond, cpuUs: (1_000 * cpuMs) / answered, busy: cpuMs / tookMs };
    },
    async stop() {
      await pool.close();
      await served.stop();
    },
  };
}

/** The least that undici can do for a request: the load must cost less than what it is put on. */
function post(pool: Pool, { target, request, status }: DeployedFunction): Promise<void> {
  return new Promise((resolve, reject) => {
    pool.dispatch(
      { method: "POST", ...request },
      {
        onRequestStart: () => {},
        onResponseStart: (_controller, statusCode) => {
          if (statusCode !== status)
            reject(new Error(`${target} answered ${statusCode} instead of ${status}`));
        },
        onResponseData: () => {},
        onResponseEnd: () => resolve(),
        onResponseError: (_controller, error) => reject(error),
      },
    );
  });
}
