import { describe, expect, it } from "vitest";
import { runCli } from "../../functions/cli/main.ts";
import type { WorkloadId } from "../../shared/domain/workload.ts";
import type { EventDocument } from "../../shared/ledger/ledger.ts";
import type { DriftRow, ReportDocument } from "../../shared/ledger/report-document.ts";
import { type Content, digest, ledgerOf, rollout, startMs, workload } from "./record.ts";

async function cli(line: string, content: Content) {
  const printed = await runCli(line.split(" "), {
    env: {},
    clock: { now: () => startMs + 180_000, monotonic: () => 0, sleep: async () => {} },
    progress: () => {},
    openLedger: () => ledgerOf(content),
  });
  return { ...printed, json: () => JSON.parse(printed.out) };
}

function row(id: WorkloadId, verdict: string, change: Partial<DriftRow> = {}): DriftRow {
  return {
    workload: id,
    container: "web",
    running: `docker.io/acme/web:v1@${digest("a")}`,
    deployed: digest("a"),
    wanted: digest("b"),
    verdict,
    ...change,
  };
}

function reported(rows: readonly DriftRow[], change: Partial<ReportDocument> = {}): Content {
  const report: ReportDocument = {
    startedMs: startMs - 4_200,
    finishedMs: startMs,
    by: "timer",
    dryRun: false,
    adopt: false,
    counts: {},
    chunks: 0,
    guarded: [],
    troubles: [],
    expireMs: startMs + 90 * 86_400_000,
    ...change,
  };
  return { report: { report, rows } };
}

/** The addresses in the table, from top to bottom. */
function shown(out: string): readonly string[] {
  return [...out.matchAll(/^(prod\/\S+(?: \[\S+\])?) +(\S+)/gm)].map(([, id, verdict]) => `${id} ${verdict}`);
}

const mixed = [
  row("prod/fine", "in-sync"),
  row("prod/held", "skipped", { reason: "held: it exited with 1" }),
  row("prod/fresh", "new"),
  row("prod/late", "missed", { seq: 3 }),
  row("prod/dark", "unknown", { reason: "docker.io/acme/web: 401" }),
  row("prod/gone", "missing", { reason: "Landfall deployed it, and it is no longer at its target" }),
  row("prod/hand", "changed-outside"),
  row("prod/war", "skipped", { reason: "fighting: repaired 3 times in a day already" }),
  row("prod/other", "in-sync"),
];

describe("landfall drift", () => {
  it("shows what needs somebody first, and only counts what is in-sync", async () => {
    const { out, code } = await cli("drift", reported(mixed));
    expect(code).toBe(0);
    expect(shown(out)).toEqual([
      "prod/war fighting",
      "prod/hand changed-outside",
      "prod/gone missing",
      "prod/dark unknown",
      "prod/late missed",
      "prod/fresh new",
      "prod/held held",
    ]);
    expect(out).toContain(
      "3 min ago (2026-11-22 02:00:00Z): compared 9 containers in 4.2 s, for timer\n2 in-sync, ",
    );
  });

  it("shows all with --all, what is in-sync last", async () => {
    const { out } = await cli("drift --all", reported(mixed));
    expect(shown(out)).toHaveLength(9);
    expect(shown(out).slice(-2)).toEqual(["prod/fine in-sync", "prod/other in-sync"]);
  });

  it("shows the digests short, and the reason", async () => {
    const { out } = await cli("drift", reported([row("prod/dark", "unknown", { reason: "it answers 401" })]));
    const cells = [
      "prod/dark",
      "unknown",
      "docker.io/acme/web:v1",
      "aaaaaaaaaaaa",
      "aaaaaaaaaaaa",
      "bbbbbbbbbbbb",
    ];
    expect(out).toMatch(new RegExp(`^${cells.join(" +")} +it answers 401$`, "m"));
  });

  it("tells containers of one workload apart", async () => {
    const rows = [
      row("prod/web/deployment/api", "new", { container: "api" }),
      row("prod/web/deployment/api", "new", { container: "proxy" }),
    ];
    expect(shown((await cli("drift", reported(rows))).out)).toEqual([
      "prod/web/deployment/api [api] new",
      "prod/web/deployment/api [proxy] new",
    ]);
  });

  it("says what became of the rollout that repairs it", async () => {
    const content = {
      ...reported([row("prod/web", "missed", { seq: 3 })]),
      workloads: [workload("prod/web", 3)],
      rollouts: [rollout("prod/web", 3)],
    };
    expect((await cli("drift", content)).out).toMatch(/^prod\/web +missed .* rollout 3 succeeded$/m);
    expect((await cli("drift --json", content)).json().rows[0]).toMatchObject({
      seq: 3,
      rollout: "succeeded",
    });
  });

  it("says what a dry run would have done", async () => {
    const { out } = await cli("drift", reported([row("prod/web", "missed")], { dryRun: true }));
    expect(out).toContain("for timer (dry run)");
    expect(out).toMatch(/^prod\/web +missed .* would be brought to bbbbbbbbbbbb$/m);
  });

  it.each<[name: string, adopt: boolean, verdict: string]>([
    ["scheduled", false, "missed"],
    ["that adopts", true, "new"],
  ])("says how to approve what the guard stopped of a run %s", async (_name, adopt, verdict) => {
    const guarded = [{ target: "prod", fingerprint: "0123456789ab", actionable: 4, references: 5 }];
    const { out } = await cli("drift", reported([row("prod/web", verdict)], { guarded, adopt }));
    expect(shown(out)).toEqual(["prod/web guarded"]);
    expect(out).toContain("The guard stopped prod: 4 of 5 images would be deployed");
    expect(out).toContain("\n  landfall reconcile --approve 0123456789ab\n");
  });

  it("shows plans of earlier runs that still wait for an approval", async () => {
    const plan = { target: "int", fingerprint: "ba9876543210", actionable: 3, references: 4 };
    const content = { ...reported([row("prod/fine", "in-sync")], { guarded: [] }), waiting: [plan] };
    const { out, code } = await cli("drift --detailed-exitcode", content);
    expect(out).toContain("The guard stopped int: 3 of 4 images");
    expect(out).toContain("\n  landfall reconcile --approve ba9876543210\n");
    expect(code).toBe(0);
    const told = { ...reported([], { guarded: [plan] }), waiting: [plan] };
    expect((await cli("drift", told)).out.match(/The guard stopped/g)).toHaveLength(1);
  });

  it("shows a rollout that failed before all else, and what is repaired after what nobody repairs", async () => {
    const content = {
      ...reported([
        row("prod/hand", "changed-outside", { seq: 3 }),
        row("prod/late", "missed"),
        row("prod/other", "unknown"),
        row("prod/web", "missed", { seq: 3 }),
      ]),
      workloads: [workload("prod/web", 3)],
      rollouts: [rollout("prod/web", 3, { state: "rolled-back" })],
    };
    expect(shown((await cli("drift", content)).out)).toEqual([
      "prod/web missed",
      "prod/other unknown",
      "prod/hand changed-outside",
      "prod/late missed",
    ]);
  });

  it("says how much of a target is nothing that it could deploy", async () => {
    const targets = [
      { target: "prod", workloads: 3, unmanaged: 2, references: 1 },
      { target: "int", workloads: 3, unmanaged: 0, references: 1 },
    ];
    const { out } = await cli("drift", reported([], { targets }));
    expect(out).toContain("prod also has 2 workloads of which nothing is followed.");
    expect(out).not.toContain("int also");
  });

  it.each(["drift drift-1", "explain drift-1"])("shows a report by its id: %s", async (line) => {
    const { out, code } = await cli(line, reported(mixed));
    expect(code).toBe(0);
    expect(shown(out)).toHaveLength(7);
    expect((await cli(`${line} --json`, reported(mixed))).json().rows).toHaveLength(9);
  });

  it("says when there is no such report", async () => {
    expect((await cli("drift drift-2", reported(mixed))).err).toContain("There is no report drift-2");
  });

  it("tells what could not be asked", async () => {
    const { out } = await cli("drift", reported([], { troubles: ["int: no answer\u001b[31m"] }));
    expect(out).toContain("What could not be asked:\n  int: no answer [31m\n");
  });

  it("shows 200 lines, and says how to see the others", async () => {
    const rows = Array.from({ length: 205 }, (_, n) => row(`prod/w${n}`, "new"));
    const { out } = await cli("drift", reported(rows));
    expect(shown(out)).toHaveLength(200);
    expect(out).toContain("... and 5 more: `landfall drift --all`.");
  });

  it("has nothing to tell when all is in-sync", async () => {
    const calm = reported([row("prod/fine", "in-sync")]);
    expect((await cli("drift --detailed-exitcode", calm)).code).toBe(3);
    expect((await cli("drift --detailed-exitcode", reported(mixed))).code).toBe(0);
  });

  it("says how to make a report where there is none", async () => {
    const { out, code } = await cli("drift --detailed-exitcode", {});
    expect([out, code]).toEqual([
      "Nothing was compared yet: `landfall reconcile --dry-run` compares and changes nothing.\n",
      3,
    ]);
  });

  it("says who is at a full run now", async () => {
    const holder = { id: "drift-2", by: "ada@acme.io", untilMs: startMs + 600_000 };
    const { out } = await cli("drift", { ...reported(mixed), holder });
    expect(out).toMatch(
      /^A full run is under way, asked for by ada@acme.io, until 2026-11-22 02:10:00Z at the/,
    );
    expect((await cli("drift --json", { holder })).json()).toEqual({ underWay: holder });
    const over = { ...holder, untilMs: startMs };
    expect((await cli("drift", { ...reported(mixed), holder: over })).out).not.toContain("under way");
  });

  it("has the orders of people in the history", async () => {
    const order: EventDocument = {
      state: "done",
      reconcile: { dryRun: false, adopt: true, targets: ["prod", "int"] },
      by: "ada@acme.io",
      heardMs: startMs,
      outcome: "compared",
      detail: "drift-1: 2 missed",
      report: "drift-1",
      verdicts: [],
      more: 0,
      looks: 0,
      expireMs: startMs + 90 * 86_400_000,
    };
    const events = {
      "reconcile-1": order,
      "reconcile-0": { ...order, reconcile: { dryRun: true, adopt: false } },
    };
    const { out } = await cli("explain reconcile-1", { events });
    expect(out).toContain("ada@acme.io asked for a full run of prod, int (adopting)\n");
    expect(out).toContain("  detail   drift-1: 2 missed");
    const lines = (await cli("ledger", { events })).out.split("\n");
    expect(lines.find((line) => line.endsWith("reconcile-1"))).toMatch(
      / full run +done +prod, int +compared /,
    );
    expect(lines.find((line) => line.endsWith("reconcile-0"))).toMatch(
      / full run +done +everything +compared /,
    );
  });

  it("gives whole digests and times as data", async () => {
    const json = (await cli("drift --json", reported(mixed, { guarded: [], by: "ada" }))).json();
    expect(json).toMatchObject({
      report: "drift-1",
      by: "ada",
      startedMs: startMs - 4_200,
      finishedMs: startMs,
    });
    expect(json.rows).toHaveLength(9);
    expect(json.rows[7]).toEqual({ ...mixed[7], shown: "fighting" });
  });
});
