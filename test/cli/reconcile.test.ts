import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runCli } from "../../functions/cli/main.ts";
import type { ReconcileMessage } from "../../shared/bus/bus.ts";
import { inlineBus } from "../../shared/bus/inline.ts";
import { systemClock } from "../../shared/clock.ts";
import { embeddedLedger } from "../../shared/ledger/embedded.ts";
import type { Documents, EventDocument, Ledger } from "../../shared/ledger/ledger.ts";
import type { DriftRow, ReportDocument } from "../../shared/ledger/report-document.ts";
import { digest, rollout, startMs, workload } from "./record.ts";

let folder: string;
let ledgerPath: string;
let env: Record<string, string>;
let ledger: Ledger;
let sent: ReconcileMessage[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "landfall-reconcile-"));
  ledgerPath = join(folder, "ledger.db");
  ledger = embeddedLedger(ledgerPath, systemClock);
  env = { LANDFALL_LEDGER: `file:${ledgerPath}` };
  sent = [];
  await put("workloads", "prod/web", workload("prod/web", 3));
  await put("workloads", "int/api", workload("int/api", 1));
  const guarded = [{ target: "prod", fingerprint: "0123456789ab", actionable: 4, references: 5 }];
  await put("leases", "full-run", { guarded });
});
afterEach(async () => {
  await ledger.close();
  await rm(folder, { recursive: true });
});

/** Puts a document on record in place of what was there. */
async function put<C extends "events" | "workloads" | "rollouts" | "reports" | "leases">(
  collection: C,
  id: string,
  value: Documents[C],
): Promise<void> {
  const expectRev = (await ledger.get(collection, id))?.rev ?? 0;
  const write = { collection, id, value, expect: expectRev } as Parameters<Ledger["commit"]>[1][number];
  expect(await ledger.commit("test", [write])).toEqual({ kind: "committed" });
}

/** What Landfall does meanwhile, one step at each look of the command. */
type Step = (message: ReconcileMessage) => Promise<void>;

/** Runs the command line against a Landfall that goes on by a step whenever the command sleeps. */
async function landfall(line: readonly string[], steps: readonly Step[] = []) {
  const said: string[] = [];
  const left = [...steps];
  let elapsedMs = 0;
  const printed = await runCli(line, {
    env,
    clock: {
      now: () => startMs + elapsedMs,
      monotonic: () => elapsedMs,
      sleep: async (ms) => {
        elapsedMs += ms;
        if (sent.length === 0) await takeMessages();
        const [message] = sent;
        if (message !== undefined) await left.shift()?.(message);
      },
    },
    progress: (text) => said.push(text.trim().replace(/^[\d.]+ (?:ms|s|min.*?) {2}/, "")),
    openLedger: async () => embeddedLedger(ledgerPath, systemClock),
  });
  if (sent.length === 0) await takeMessages();
  return { ...printed, said, json: () => JSON.parse(printed.out) };
}

async function takeMessages(): Promise<void> {
  const bus = inlineBus({ store: ledgerPath, clock: systemClock });
  const delivering = bus.deliver(async ({ message }) => {
    sent.push(JSON.parse(Buffer.from(message.data, "base64").toString("utf8")));
    return "ack";
  });
  await delivering.idle();
  await bus.close();
}

async function eventIs({ event, run, by, heardMs }: ReconcileMessage, change: Partial<EventDocument>) {
  await put("events", event, {
    state: "waiting",
    reconcile: run,
    by,
    heardMs,
    verdicts: [],
    more: 0,
    looks: 0,
    expireMs: heardMs + 90 * 86_400_000,
    ...change,
  });
}

const behind: DriftRow = {
  workload: "prod/web",
  container: "web",
  running: `docker.io/acme/web:v1@${digest("a")}`,
  deployed: digest("a"),
  wanted: digest("b"),
  verdict: "missed",
};
const late: DriftRow = { ...behind, seq: 3 };

/** The run is over, with this report. */
function reported(rows: readonly DriftRow[], change: Partial<ReportDocument> = {}): Step {
  return async (message) => {
    const { dryRun, adopt } = message.run;
    const report: ReportDocument = {
      startedMs: startMs,
      finishedMs: startMs + 2_500,
      by: message.by,
      dryRun,
      adopt,
      counts: {},
      chunks: 1,
      guarded: [],
      troubles: [],
      expireMs: startMs + 90 * 86_400_000,
      ...change,
    };
    await put("reports", "drift-1", report);
    await put("reports", "drift-1/0", { ...report, rows });
    const verdicts = rows.flatMap(({ workload: id, seq }) =>
      seq === undefined ? [] : [{ workload: id, kind: "planned", seq } as const],
    );
    await eventIs(message, { state: "done", outcome: "compared", report: "drift-1", verdicts });
  };
}

describe("landfall reconcile", () => {
  it.each<[line: string, run: ReconcileMessage["run"]]>([
    ["reconcile", { dryRun: false, adopt: false }],
    ["reconcile --adopt --workload web", { dryRun: false, adopt: true, workloads: ["prod/web"] }],
    [
      "reconcile --workload web --workload api",
      { dryRun: false, adopt: false, workloads: ["prod/web", "int/api"] },
    ],
    ["reconcile --target prod --target int", { dryRun: false, adopt: false, targets: ["prod", "int"] }],
    ["reconcile --image acme/web", { dryRun: false, adopt: false, images: ["docker.io/acme/web"] }],
    ["reconcile --approve 0123456789ab", { dryRun: false, adopt: false, approve: "0123456789ab" }],
  ])("asks by message: %s", async (line, run) => {
    const { code, out } = await landfall(line.split(" "));
    expect(code).toBe(0);
    expect(sent).toEqual([
      {
        kind: "reconcile",
        event: expect.stringMatching(/^reconcile-/),
        heardMs: startMs,
        by: expect.stringMatching(/@/),
        run,
      },
    ]);
    expect(out).toContain(`\`landfall explain ${sent[0]?.event}\` tells what became of it.`);
  });

  it.each<[line: string, code: number, says: string]>([
    ["reconcile prod", 2, "`prod` is one argument too many"],
    ["reconcile --workload prod/wbe", 1, "Did you mean `prod/web`?"],
    ["reconcile --image acme/web:v1", 2, "without a tag"],
    ["reconcile --approve yes", 1, "No plan `yes` waits for an approval"],
    ["reconcile --approve 0123456789ac", 1, "Did you mean `0123456789ab`?"],
    ["reconcile --approve 0123456789ab --adopt --target prod", 2, "leave --adopt, --target away"],
    ["reconcile --target prodd", 1, "Did you mean `prod`?"],
    ["reconcile --adopted", 2, "Did you mean `--adopt`?"],
    ["reconcile --timeout soon", 2, "--timeout needs a duration"],
  ])("asks for nothing when it is asked `%s`", async (line, code, says) => {
    const path = join(folder, "landfall.yaml");
    await writeFile(
      path,
      'follow: ["docker.io/acme/*"]\ntargets: [{ name: prod, kind: swarm, host: "unix:///var/run/docker.sock" }]\n',
    );
    env.LANDFALL_CONFIG = path;
    const printed = await landfall(line.split(" "));
    expect(printed.code).toBe(code);
    expect(printed.err).toContain(says);
    expect(sent).toEqual([]);
  });

  it("tells with --wait how far it is, what it does, and at the end shows the report", async () => {
    const steps: readonly Step[] = [
      (message) => eventIs(message, { outcome: "comparing" }),
      (message) => eventIs(message, { outcome: "comparing", detail: "1 of 4 targets compared" }),
      async (message) => {
        await put("rollouts", "prod/web/3", rollout("prod/web", 3));
        await reported([late, { ...behind, workload: "int/api", verdict: "new" }])(message);
      },
    ];
    const { code, out, said } = await landfall(["reconcile", "--wait"], steps);
    expect(said.map((line) => line.replace(/: What runs.*?\. /, " ").replace(/\.$/, ""))).toEqual([
      "published; nobody has taken it yet",
      "waiting: comparing: What runs is being compared with what is wanted",
      "waiting: comparing (1 of 4 targets compared)",
      "done: compared: What runs was compared with what is wanted",
      "prod/web: rollout 3 succeeded",
    ]);
    expect(code).toBe(0);
    expect(out).toMatch(/^prod\/web +missed .* rollout 3 succeeded$/m);
    expect(out).toMatch(/^int\/api +new /m);
  });

  it("says whose full run it waits for", async () => {
    const steps: readonly Step[] = [
      (message) => eventIs(message, { outcome: "busy", detail: "asked by timer, until 02:10 at the latest" }),
      reported([]),
    ];
    const { said } = await landfall(["reconcile", "--wait"], steps);
    expect(said[1]).toBe(
      "waiting: busy: Another full run is under way. (asked by timer, until 02:10 at the latest)",
    );
  });

  it("waits for a dry run without being told to, since nothing else comes of it", async () => {
    const { code, out } = await landfall(["reconcile", "--dry-run"], [reported([behind])]);
    expect(sent[0]?.run).toEqual({ dryRun: true, adopt: false });
    expect(code).toBe(0);
    expect(out).toContain("(dry run)");
    expect(out).toMatch(/^prod\/web +missed .* would be brought to bbbbbbbbbbbb$/m);
  });

  it.each<[name: string, code: number, step: Step]>([
    ["all is in-sync", 3, reported([{ ...behind, verdict: "in-sync" }])],
    ["something is new", 0, reported([{ ...behind, verdict: "new" }])],
    ["a target could not be asked", 0, reported([], { troubles: ["int: no answer"] })],
    [
      "the guard stopped it",
      1,
      reported([], {
        guarded: [{ target: "prod", fingerprint: "0123456789ab", actionable: 4, references: 5 }],
      }),
    ],
    ["it was refused", 1, (message) => eventIs(message, { state: "done", outcome: "refused" })],
  ])("when %s, --detailed-exitcode ends with %i", async (_name, code, step) => {
    expect((await landfall(["reconcile", "--wait", "--detailed-exitcode"], [step])).code).toBe(code);
  });

  it("gives the whole report as data", async () => {
    await put("rollouts", "prod/web/3", rollout("prod/web", 3));
    const { json } = await landfall(["reconcile", "--wait", "--json"], [reported([late])]);
    expect(json()).toMatchObject({
      published: true,
      ended: true,
      report: "drift-1",
      dryRun: false,
      rows: [{ ...late, shown: "missed", rollout: "succeeded" }],
    });
  });

  it("says when nobody takes it", async () => {
    const { code, err } = await landfall(["reconcile", "--wait", "--timeout", "30s"]);
    expect(code).toBe(1);
    expect(err).toContain("Nobody has taken it");
  });
});
