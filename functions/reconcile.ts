import type { HttpFunction } from "@google-cloud/functions-framework";
import * as z from "zod/mini";
import { FullRunRequest } from "../shared/domain/full-run.ts";
import { newBudget } from "../shared/flows/deps.ts";
import type { Busy } from "../shared/flows/drift-turn.ts";
import { fullRun, unknownTargets } from "../shared/flows/full-run.ts";
import { telling } from "../shared/flows/full-run-progress.ts";
import { sweep } from "../shared/flows/sweep.ts";
import { version } from "../shared/version.ts";
import type { Answer } from "./answer.ts";
import { answered, unavailable } from "./boundary.ts";
import { proveCaller } from "./caller.ts";
import { ownBodies, readBody } from "./request-body.ts";
import type { ReconcileWiring } from "./wiring/reconcile.ts";

const FullRunOrder = z.strictObject({ mode: z.literal("full"), ...FullRunRequest.shape });
const Order = z.discriminatedUnion("mode", [z.strictObject({ mode: z.literal("sweep") }), FullRunOrder]);
type Order = z.infer<typeof Order>;
const limits = { maxBodyBytes: 64 * 1024, bodyDeadlineMs: 10_000 };

/**
 * `POST /reconcile` from Cloud Scheduler, a runner's timer or an operator: carry on what was left unfinished (`sweep`), or
 * compare everything that runs with what is wanted (`full`). `POST /SmartRedeploy` is a full run that adopts.
 */
export function createReconcile(wiring: () => ReconcileWiring): HttpFunction {
  ownBodies((url) => url.startsWith("/reconcile") || url.startsWith("/SmartRedeploy"));
  return (request, response) =>
    answered(request, response, wiring().log, async () => {
      const path = request.url.split("?", 1)[0];
      if (path === "/health") return { status: 200, body: { status: "ok", version, function: "reconcile" } };
      if (path !== "/reconcile" && path !== "/SmartRedeploy") return refuse(404, "not found");
      if (request.method !== "POST")
        return { ...refuse(405, "only POST is answered here"), headers: { allow: "POST" } };
      const caller = await callerOf(wiring(), request.headers.authorization);
      if (caller.kind === "refused") return caller.answer;
      const body = await readBody(request, limits);
      const order = path === "/SmartRedeploy" ? smartRedeploy(body) : parse(body, Order);
      if (order.kind === "wrong") return refuse(order.status, order.problem);
      return run(wiring(), order.order, caller.by);
    });
}

async function run(wiring: ReconcileWiring, order: Order, by: string): Promise<Answer> {
  const known = await wiring.flows();
  const budget = newBudget(known.clock, wiring.stopping);
  if (order.mode === "sweep") return { status: 200, body: await sweep(known, budget) };
  const deps = (await known.fresh?.()) ?? known;
  const strange = unknownTargets(deps, order);
  if (strange !== undefined) return refuse(400, `targets: ${strange}`);
  const { mode, ...asked } = order;
  const { onProgress } = telling(deps);
  const done = await fullRun(deps, { ...asked, by }, budget, onProgress);
  if (done.kind === "busy") return busy(done, await deps.ledger.clock());
  const { id, report, rows } = done;
  const { expireMs: _, chunks: __, ...summary } = report;
  return {
    status: 200,
    body: { mode, report: id, ...summary, ...(rows === undefined ? {} : { rows }) },
  };
}

function busy({ id, by, untilMs }: Busy, nowMs: number): Answer {
  const error = "another full run is under way";
  const seconds = Math.max(1, Math.ceil((untilMs - nowMs) / 1_000));
  return {
    status: 409,
    headers: { "retry-after": String(seconds) },
    body: { error, by, until: new Date(untilMs).toISOString(), report: id },
  };
}

async function callerOf(
  wiring: ReconcileWiring,
  authorization: string | undefined,
): Promise<
  { readonly kind: "proven"; readonly by: string } | { readonly kind: "refused"; readonly answer: Answer }
> {
  const { auth, deps } = await wiring.callers();
  const verdict = await proveCaller(authorization, auth, deps);
  if (verdict.kind === "proven") return verdict;
  wiring.log.write("warning", "a caller of reconcile was refused", { reason: verdict.why });
  const answer =
    verdict.why === "keys-unavailable"
      ? unavailable("the caller cannot be checked now, try again")
      : { ...refuse(401, "the caller is not proven"), headers: { "www-authenticate": "Bearer" } };
  return { kind: "refused", answer };
}

/** Its body, if it has one, can only narrow it down. */
function smartRedeploy(body: Body): Parsed {
  const isEmpty = body.kind === "bytes" && Buffer.from(body.bytes).toString("utf8").trim() === "";
  return isEmpty
    ? { kind: "order", order: { mode: "full", adopt: true, dryRun: false } }
    : parse(body, FullRunOrder, { mode: "full", adopt: true });
}

type Body = Awaited<ReturnType<typeof readBody>>;

type Parsed =
  | { readonly kind: "order"; readonly order: Order }
  | { readonly kind: "wrong"; readonly status: number; readonly problem: string };

function parse(
  body: Body,
  schema: typeof Order | typeof FullRunOrder,
  defaults: Readonly<Record<string, unknown>> = {},
): Parsed {
  if (body.kind === "too-large") return { kind: "wrong", status: 413, problem: "the body is too long" };
  if (body.kind !== "bytes") return { kind: "wrong", status: 408, problem: "the body did not arrive" };
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(body.bytes).toString("utf8"));
  } catch {
    return { kind: "wrong", status: 400, problem: 'the body is no JSON; send {"mode":"sweep"}' };
  }
  const order = schema.safeParse(
    typeof json === "object" && json !== null && !Array.isArray(json) ? { ...defaults, ...json } : json,
  );
  if (order.success) return { kind: "order", order: order.data };
  return { kind: "wrong", status: 400, problem: order.error.issues.map(problemOf).join("; ") };
}

function problemOf(issue: z.core.$ZodIssue): string {
  const place = issue.path.join(".") || "body";
  switch (issue.code) {
    case "unrecognized_keys":
      return `${place}: there is no ${issue.keys.join(", ")}`;
    case "invalid_type":
      return `${place}: expected ${issue.expected}`;
    case "invalid_value":
      return `${place}: expected ${issue.values.join(" or ")}`;
    case "invalid_union":
      return `${place}: expected sweep or full`;
    default:
      return `${place}: ${issue.message}`;
  }
}

function refuse(status: number, error: string): Answer {
  return { status, body: { error } };
}
