import type { HttpFunction } from "@google-cloud/functions-framework";
import * as z from "zod/mini";
import { newBudget } from "../shared/flows/deps.ts";
import { sweep } from "../shared/flows/sweep.ts";
import { version } from "../shared/version.ts";
import type { Answer } from "./answer.ts";
import { answered, unavailable } from "./boundary.ts";
import { proveCaller } from "./caller.ts";
import { ownBodies, readBody } from "./request-body.ts";
import type { ReconcileWiring } from "./wiring/reconcile.ts";

const Order = z.strictObject({
  mode: z.literal("sweep", "expected `sweep`; `full` is not in this version"),
});
const limits = { maxBodyBytes: 64 * 1024, bodyDeadlineMs: 10_000 };

/** `POST /reconcile` from Cloud Scheduler, a runner's timer or an operator: carry on what was left unfinished. */
export function createReconcile(wiring: () => ReconcileWiring): HttpFunction {
  ownBodies((url) => url.startsWith("/reconcile") || url.startsWith("/SmartRedeploy"));
  return (request, response) =>
    answered(request, response, wiring().log, async () => {
      const path = request.url.split("?", 1)[0];
      if (path === "/health") return { status: 200, body: { status: "ok", version, function: "reconcile" } };
      if (path !== "/reconcile" && path !== "/SmartRedeploy") return refuse(404, "not found");
      if (request.method !== "POST")
        return { ...refuse(405, "only POST is answered here"), headers: { allow: "POST" } };
      const refused = await refusal(wiring(), request.headers.authorization);
      if (refused !== undefined) return refused;
      if (path === "/SmartRedeploy") return refuse(400, "SmartRedeploy is not in this version");
      const order = parse(await readBody(request, limits));
      if (order.kind === "wrong") return refuse(order.status, order.problem);
      const deps = await wiring().flows();
      return { status: 200, body: await sweep(deps, newBudget(deps.clock, wiring().stopping)) };
    });
}

async function refusal(
  wiring: ReconcileWiring,
  authorization: string | undefined,
): Promise<Answer | undefined> {
  const { auth, deps } = await wiring.callers();
  const verdict = await proveCaller(authorization, auth, deps);
  if (verdict.kind === "proven") return undefined;
  wiring.log.write("warning", "a caller of reconcile was refused", { reason: verdict.why });
  if (verdict.why === "keys-unavailable") return unavailable("the caller cannot be checked now, try again");
  return { ...refuse(401, "the caller is not proven"), headers: { "www-authenticate": "Bearer" } };
}

type Parsed =
  | { readonly kind: "order"; readonly order: z.infer<typeof Order> }
  | { readonly kind: "wrong"; readonly status: number; readonly problem: string };

function parse(body: Awaited<ReturnType<typeof readBody>>): Parsed {
  if (body.kind === "too-large") return { kind: "wrong", status: 413, problem: "the body is too long" };
  if (body.kind !== "bytes") return { kind: "wrong", status: 408, problem: "the body did not arrive" };
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(body.bytes).toString("utf8"));
  } catch {
    return { kind: "wrong", status: 400, problem: 'the body is no JSON; send {"mode":"sweep"}' };
  }
  const order = Order.safeParse(json);
  if (order.success) return { kind: "order", order: order.data };
  const problems = order.error.issues.map((issue) => `${issue.path.join(".") || "body"}: ${issue.message}`);
  return { kind: "wrong", status: 400, problem: problems.join("; ") };
}

function refuse(status: number, error: string): Answer {
  return { status, body: { error } };
}
