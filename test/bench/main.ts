import { writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { measureAccepted } from "./accepted.ts";
import { functionsIn, inFolder, sizesIn } from "./functions.ts";
import { measureLedger } from "./ledger.ts";
import { printTable, type Report, verdictOf } from "./report.ts";
import { measureRollout } from "./rollout.ts";
import { measureStart } from "./start.ts";
import { type Systems, sandboxSystems, testbedSystems, testbedVariables } from "./systems.ts";
import { measureWebhook } from "./webhook.ts";

/** Each by the name that `--only` knows it by; the folder is on the disk, and its own. */
const measurements: Readonly<Record<string, (folder: string) => Promise<Report>>> = {
  webhook: async (folder) => measureWebhook(await functionsIn(folder)),
  start: async (folder) => measureStart(await functionsIn(folder), await sizesIn(folder)),
  accepted: async (folder) => accepted(await sandboxSystems(), folder),
  testbed: async (folder) => {
    const systems = testbedSystems();
    if (systems !== undefined) return accepted(systems, folder);
    return { rows: [], notes: [`skipped: real systems; they are measured when ${testbedVariables} are set`] };
  },
  rollout: measureRollout,
  ledger: measureLedger,
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

async function accepted(systems: Systems, folder: string): Promise<Report> {
  try {
    const plain = await measureAccepted(systems, folder, false);
    const bound = await measureAccepted(systems, folder, true);
    return { rows: [...plain.rows, ...bound.rows], notes: [...plain.notes, ...bound.notes] };
  } finally {
    await systems.stop();
  }
}

await main();
