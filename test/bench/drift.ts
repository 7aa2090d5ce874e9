import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Counts, DoublesWord } from "./processes/drift-doubles.ts";
import type { RunWord } from "./processes/drift-run.ts";
import type { Report, Row } from "./report.ts";

interface Size {
  readonly workloads: number;
  readonly references: number;
}

const sizes: readonly Size[] = [
  { workloads: 1_000, references: 1_000 },
  { workloads: 10_000, references: 100 },
  { workloads: 10_000, references: 1_000 },
  { workloads: 100_000, references: 1_000 },
];
const mostCpuMs = 10_000;
const mostMiB = 256;
/** As the function is deployed: what is read of long lists is garbage at once, and V8 would let 250 MiB of it lie about. */
const deployedWith = ["--max-semi-space-size=2", "--max-old-space-size=256"];
const bytesAMiB = 1024 * 1024;

/** Full runs over two Swarms and two clusters, each in a process of its own: the first one, and one with nothing to do. */
export async function measureDrift(folder: string): Promise<Report> {
  const reports: Report[] = [];
  for (const size of sizes) reports.push(await measure(size, folder));
  return { rows: reports.flatMap(({ rows }) => rows), notes: reports.flatMap(({ notes }) => notes) };
}

async function measure({ workloads, references }: Size, folder: string): Promise<Report> {
  const doubles = started("drift-doubles.ts", [workloads, references].map(String));
  try {
    const listening = await word<DoublesWord>(doubles);
    if (listening.kind !== "listening") throw new Error("the doubles do not listen");
    const { registry, targets } = listening;
    const file = join(folder, `drift-${workloads}-${references}.db`);
    const run = async () => {
      const runner = started("drift-run.ts", [file, registry, ...targets]);
      const done = await word<RunWord>(runner);
      doubles.send("counts");
      const counted = await word<DoublesWord>(doubles);
      if (counted.kind !== "counts") throw new Error("the doubles do not count");
      if (done.counts["in-sync"] !== workloads) {
        throw new Error(
          `${workloads} workloads are in sync, and a run finds ${JSON.stringify([done.counts, done.troubles])}`,
        );
      }
      return { ...done, asked: counted.counts };
    };
    const [first, later] = [await run(), await run()];
    const size = `${workloads.toLocaleString("en")} on ${references.toLocaleString("en")}`;
    return {
      rows: [...rowsOf(`full run, ${size}`, { workloads, references }, later)],
      notes: [noteOf(`first run, ${size}`, first), noteOf(`later run, ${size}`, later)],
    };
  } finally {
    doubles.disconnect();
  }
}

type Measured = RunWord & { readonly asked: Counts };

function rowsOf(name: string, { workloads, references }: Size, run: Measured): readonly Row[] {
  const { heads, lists, largestBytes } = run.asked;
  const isStandard = workloads === 10_000 && references === 1_000;
  const listMiB = largestBytes / bytesAMiB;
  const mostPeak = isStandard ? mostMiB : workloads > 10_000 ? 3 * listMiB + 128 : undefined;
  return [
    { what: `${name}: HEADs`, ours: heads, unit: "", budget: { at: "most", value: references } },
    { what: `${name}: lists`, ours: lists, unit: "" },
    {
      what: `${name}: own CPU`,
      ours: run.cpuMs,
      unit: "ms",
      ...(isStandard ? { budget: { at: "most", value: mostCpuMs } } : {}),
    },
    {
      what: `${name}: most memory`,
      ours: run.peakMiB,
      unit: "MiB",
      beside: { name: "largest list answer", value: listMiB },
      ...(mostPeak === undefined ? {} : { budget: { at: "most", value: mostPeak } }),
    },
  ];
}

function noteOf(name: string, { tookMs, cpuMs, startMiB, peakMiB, asked }: Measured): string {
  const { heads, lists, pages, largestBytes } = asked;
  const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;
  return `${name}: ${seconds(tookMs)}, ${seconds(cpuMs)} CPU, ${startMiB.toFixed(0)} → ${peakMiB.toFixed(0)} MiB, ${heads} HEADs, ${lists} lists in ${pages} answers of at most ${(largestBytes / bytesAMiB).toFixed(1)} MiB`;
}

function started(file: string, args: readonly string[]): ChildProcess {
  return fork(new URL(`./processes/${file}`, import.meta.url), args, {
    execArgv: deployedWith,
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
}

async function word<T>(child: ChildProcess): Promise<T> {
  const ended = once(child, "exit").then(([code]) => {
    throw new Error(`a process of the bench ended with ${code}`);
  });
  const [said] = await Promise.race([once(child, "message"), ended]);
  ended.catch(() => {});
  return said as T;
}
