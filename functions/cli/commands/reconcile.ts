import { environment, loadConfig } from "../../../shared/config/load.ts";
import { nearest } from "../../../shared/config/nearest.ts";
import type { FullRunRequest } from "../../../shared/domain/full-run.ts";
import type { Ledger } from "../../../shared/ledger/ledger.ts";
import { type Answer, type Call, type CliContext, type Command, listOf } from "../command.ts";
import { readReport, reportJson, waitingPlans } from "../drift-report.ts";
import { namedRepository, namedWorkload } from "../named.ts";
import { giveOrder } from "../ordering.ts";
import { publishingOptions } from "../publishing.ts";
import { renderReport } from "../render/drift.ts";
import { mannerText, scopeText } from "../render/words.ts";

export const reconcile: Command = {
  name: "reconcile",
  summary: "compare what runs with what is wanted, and repair what lost events left behind",
  parameters: "",
  maxArguments: 0,
  options: {
    adopt: {
      type: "boolean",
      about: "Also bring to what is wanted what is new to Landfall, and what somebody else changed.",
    },
    approve: {
      type: "string",
      value: "FINGERPRINT",
      about: "Deploy the plan with this fingerprint, which the guard stopped: `landfall drift` shows it.",
    },
    target: { type: "string", value: "T", many: true, about: "Only this target; may be repeated." },
    workload: {
      type: "string",
      value: "W",
      many: true,
      about: "Only this workload, or any unique tail of its address; may be repeated.",
    },
    image: { type: "string", value: "I", many: true, about: "Only what runs this image; may be repeated." },
    ...publishingOptions,
    "dry-run": { type: "boolean", about: "Compare, and change nothing; waits for the report." },
  },
  help: `A full run, as it is made each quarter of an hour, now: every target is listed, each registry is asked once for each
tag that runs, and what runs what was deployed last while something else is wanted is deployed. What Landfall never
deployed to, and what somebody else changed, is left as it is without --adopt. What is as it should be is not touched.

The order is a message: Landfall acts on it, and records who gave it. While another full run is under way it waits for
its turn. With --wait the report is shown when it is done; \`landfall drift\` shows it later.`,
  examples: [
    ["reconcile --dry-run", "what would be done"],
    ["reconcile --wait", "do it, and tell when all runs"],
    ["reconcile --adopt --workload prod/web --wait", "take back what somebody changed by hand"],
    ["reconcile --target swarm-prod --image acme/web", "only what runs this image there"],
    ["reconcile --approve 3f2a9c417be0", "the plan that the guard stopped"],
  ],
  async run(call, context) {
    const isDry = call.options["dry-run"] === true;
    // A dry run is carried out like any other, and nothing else comes of it than its report.
    const followed = {
      ...call,
      options: { ...call.options, "dry-run": false, wait: isDry || call.options.wait },
    };
    return giveOrder(followed, context, async (open) => {
      const run = await requestOf(call, context, open);
      if ("kind" in run) return run;
      const manner = mannerText(run);
      return {
        subject: `A full run of ${scopeText(run)}${manner === "" ? "" : ` (${manner})`}`,
        rows: [],
        messages: [{ kind: "reconcile", run }],
        ending: async (answer, ledger, [event]) => withReport(answer, ledger, event, context.clock.now()),
      };
    });
  },
};

async function requestOf(
  call: Call,
  context: CliContext,
  open: () => Promise<Ledger>,
): Promise<FullRunRequest | Answer> {
  const { adopt, approve, "dry-run": dryRun } = call.options;
  if (typeof approve === "string") return approvalOf(call, approve, await open());
  const targets = listOf(call, "target");
  const unknown = await unknownTarget(targets, context);
  if (unknown !== undefined) return unknown;
  const workloads: string[] = [];
  for (const asked of listOf(call, "workload")) {
    const named = await namedWorkload(asked, await open());
    if ("kind" in named) return named;
    workloads.push(named.id);
  }
  const images: string[] = [];
  for (const asked of listOf(call, "image")) {
    const documents = (await (await open()).workloads()).map(({ value }) => value);
    const named = namedRepository(asked, documents);
    if ("kind" in named) return named;
    if (named.tag !== undefined) {
      return { kind: "usage", text: `--image takes a repository without a tag, not \`${asked}\`.` };
    }
    images.push(named.repository);
  }
  return {
    dryRun: dryRun === true,
    adopt: adopt === true,
    ...(targets.length === 0 ? {} : { targets: [...targets] }),
    ...(workloads.length === 0 ? {} : { workloads }),
    ...(images.length === 0 ? {} : { images }),
  };
}

/** The plan says by itself what it is about. */
async function approvalOf(
  { options }: Call,
  approve: string,
  ledger: Pick<Ledger, "get">,
): Promise<FullRunRequest | Answer> {
  const narrowing = ["adopt", "target", "workload", "image"].filter((name) => options[name] !== undefined);
  if (narrowing.length > 0) {
    const text = `--approve deploys exactly the plan that was stopped: leave --${narrowing.join(", --")} away.`;
    return { kind: "usage", text };
  }
  const waiting = await waitingPlans(ledger);
  if (waiting.includes(approve)) {
    return { dryRun: options["dry-run"] === true, adopt: false, approve };
  }
  const meant = nearest(approve, waiting);
  const hint = meant === undefined ? "`landfall drift` shows those that do." : `Did you mean \`${meant}\`?`;
  return { kind: "failed", text: `No plan \`${approve}\` waits for an approval. ${hint}` };
}

/** What the configuration has against the targets, where there is one. */
async function unknownTarget(targets: readonly string[], { env }: CliContext): Promise<Answer | undefined> {
  const { config: path } = environment(env);
  if (path === undefined || targets.length === 0) return undefined;
  const { config } = await loadConfig({ path, ...(env === undefined ? {} : { env }) });
  const known = config.targets.map(({ name }) => name);
  const strange = targets.find((name) => !known.includes(name));
  if (strange === undefined) return undefined;
  const meant = nearest(strange, known);
  const hint = meant === undefined ? `It has ${known.join(", ")}.` : `Did you mean \`${meant}\`?`;
  return { kind: "failed", text: `${path} has no target \`${strange}\`. ${hint}` };
}

/** The answer with the report, where there is one by now; a plan that the guard stopped is a failure. */
async function withReport(
  answer: Answer,
  ledger: Pick<Ledger, "get">,
  event: string | undefined,
  nowMs: number,
): Promise<Answer> {
  const id = event === undefined ? undefined : (await ledger.get("events", event))?.value.report;
  const view = id === undefined ? undefined : await readReport(ledger, id);
  if (view === undefined || answer.kind === "usage") return answer;
  const { report, rows } = view;
  const text = `${answer.text}\n\n${renderReport(view, nowMs, false)}`;
  const json = { ...(answer.json as Readonly<Record<string, unknown>>), ...reportJson(view) };
  const isStopped = report.guarded.length > 0 && !report.dryRun;
  if (answer.kind === "failed" || isStopped) return { kind: "failed", text, json };
  const isCalm = rows.every(({ verdict }) => verdict === "in-sync") && report.troubles.length === 0;
  return { kind: isCalm ? "nothing" : "done", text, json };
}
