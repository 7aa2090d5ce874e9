import { type DeployedFunction, serve } from "./framework.ts";
import type { Functions } from "./functions.ts";
import type { Report, Row } from "./report.ts";
import { medianOf, spreadOf } from "./spread.ts";

const rounds = 7;

interface Start {
  readonly firstAnswerMs: number;
  readonly residentMiB: number | undefined;
}

/**
 * From the start of the process to its first answer, and the memory then, beside an empty function.
 * @param sizes a line to print below
 */
export async function measureStart(functions: Functions, sizes: string): Promise<Report> {
  const started = Object.entries(functions).map(([name, deployed]) => ({
    name,
    deployed,
    starts: [] as Start[],
  }));
  // The first round warms the disk's cache and creates the ledger's file: it does not count.
  for (let round = 0; round <= rounds; round++) {
    for (const { deployed, starts } of started) {
      const start = await startOf(deployed);
      if (round > 0) starts.push(start);
    }
  }
  const startsOf = (name: keyof Functions) => started.find((each) => each.name === name)?.starts ?? [];
  const row = (name: keyof Functions, what: string, most: number): Row => ({
    ...beside(what, "ms", startsOf(name).map(firstAnswer), startsOf("empty").map(firstAnswer)),
    budget: { at: "most", value: most },
  });
  const memory = (name: keyof Functions, what: string): Row[] => {
    const [own, other] = [startsOf(name).flatMap(resident), startsOf("empty").flatMap(resident)];
    return own.length === 0 ? [] : [beside(what, "MiB", own, other)];
  };
  return {
    rows: [
      row("webhook", "webhook, start → first answer, bus accepts at once", 1.3),
      row("embeddedWebhook", "webhook, start → first answer, embedded bus", 1.3),
      row("builds", "builds, start → first ledger read", 3),
      row("reconcile", "reconcile, start → first ledger read", 3),
      ...memory("embeddedWebhook", "webhook, memory after the first request"),
      ...memory("builds", "builds, memory after the first request"),
      ...memory("reconcile", "reconcile, memory after the first request"),
    ],
    notes: [sizes],
  };
}

async function startOf(deployed: DeployedFunction): Promise<Start> {
  const served = await serve(deployed);
  const start = { firstAnswerMs: served.firstAnswerMs, residentMiB: served.residentMiB() };
  await served.stop();
  return start;
}

function beside(what: string, unit: "ms" | "MiB", own: readonly number[], other: readonly number[]): Row {
  const ratios = own.map((value, round) => value / (other[round] ?? Number.NaN));
  return {
    what,
    ours: medianOf(own),
    unit,
    beside: { name: "empty function", value: medianOf(other) },
    compared: { as: "ratio", value: medianOf(ratios), spread: spreadOf(ratios) },
  };
}

const firstAnswer = (start: Start) => start.firstAnswerMs;
const resident = (start: Start) => start.residentMiB ?? [];
