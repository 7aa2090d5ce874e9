import { writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { type AcceptedOptions, measureAccepted } from "./accepted.ts";
import { measureDrift } from "./drift.ts";
import { functionsIn, inFolder, sizesIn } from "./functions.ts";
import { kubernetesSystems, kubernetesVariables } from "./kubernetes.ts";
import { measureLedger } from "./ledger.ts";
import { measureMemory } from "./memory.ts";
import { measureOrder } from "./order.ts";
import { measurePromotion } from "./promotion.ts";
import { printTable, type Report, verdictOf } from "./report.ts";
import { measureRollout } from "./rollout.ts";
import { measureStart } from "./start.ts";
import { type Systems, sandboxSystems, testbedSystems, testbedVariables } from "./systems.ts";
import { measureWebhook } from "./webhook.ts";

const plain: AcceptedOptions = { pushes: 50, warmUps: 10, bound: false };
const onSwarm: readonly AcceptedOptions[] = [plain, { ...plain, bound: true }];

/** Each by the name that `--only` knows it by; the folder is on the disk, and its own. */
const measurements: Readonly<Record<string, (folder: string) => Promise<Report>>> = {
  webhook: async (folder) => measureWebhook(await functionsIn(folder)),
  start: async (folder) => measureStart(await functionsIn(folder), await sizesIn(folder)),
  accepted: async (folder) => accepted(await sandboxSystems(), folder, onSwarm),
  testbed: async (folder) => {
    const systems = testbedSystems();
    if (systems !== undefined) return accepted(systems, folder, onSwarm);
    return skipped("real systems; they are", testbedVariables);
  },
  kubernetes: async (folder) => {
    const systems = await kubernetesSystems();
    if (systems !== undefined) return accepted(systems, folder, [plain]);
    return skipped("a real cluster; it is", kubernetesVariables);
  },
  rollout: measureRollout,
  ledger: measureLedger,
  drift: measureDrift,
  order: measureOrder,
  promotion: measurePromotion,
  memory: async (folder) => {
    const systems = await kubernetesSystems();
    if (systems === undefined) return skipped("memory of builds; it is", kubernetesVariables);
    try {
      return await measureMemory(systems, folder);
    } finally {
      await systems.stop();
    }
  },
};

/** `npm run bench [-- --only NAME,…] [--json FILE]`: one table; nothing fails because of a budget. */
async function main(): Promise<void> {
  const { values } = parseArgs({ options: { json: { type: "string" }, only: { type: "string" } } });
  const names = values.only?.split(",") ?? Object.keys(measurements);
  const reports: Report[] = [];
  for (const name of names) {
    const measure = measurements[name];
    if (measure === undefined) {
      throw new Error(`--only knows ${Object.keys(measurements).join(", ")}; it was given ${name}`);
    }
    process.stderr.write(`measuring: ${name}\n`);
    reports.push(await inFolder(measure));
  }
  const rows = reports.flatMap((report) => report.rows).map((row) => ({ ...row, verdict: verdictOf(row) }));
  const notes = reports.flatMap((report) => report.notes);
  const [load = 0] = loadavg();
  const machine = { node: process.version, platform: process.platform, cpus: cpus().length, load };
  const over = rows.filter((row) => row.verdict === "over").length;
  const judgement = over === 0 ? "every budget is kept" : `${over} over budget`;
  const where = `Node ${machine.node}, ${machine.platform}, ${machine.cpus} CPUs, load ${load.toFixed(1)} at the end`;
  const lines = [printTable(rows), ...notes, "", `${judgement} · ${where} · how to read it: docs/bench.md`];
  process.stdout.write(`\n${lines.join("\n")}\n`);
  if (values.json !== undefined) {
    writeFileSync(values.json, `${JSON.stringify({ machine, rows, notes }, undefined, 2)}\n`);
  }
}

async function accepted(systems: Systems, folder: string, each: readonly AcceptedOptions[]): Promise<Report> {
  try {
    const reports: Report[] = [];
    for (const options of each) reports.push(await measureAccepted(systems, folder, options));
    return { rows: reports.flatMap(({ rows }) => rows), notes: reports.flatMap(({ notes }) => notes) };
  } finally {
    await systems.stop();
  }
}

function skipped(what: string, variables: string): Report {
  return { rows: [], notes: [`skipped: ${what} measured when ${variables} are set`] };
}

await main();
