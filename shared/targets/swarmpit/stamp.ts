import { createHmac } from "node:crypto";
import type { Workload } from "../../domain/workload.ts";
import type { SwarmpitService } from "./schema.ts";

/** What changes by itself, or by a redeploy: the image is judged by itself. */
const volatile = new Set(["version", "updatedAt", "repository", "state", "status"]);
const volatileInDeployment = new Set(["forceUpdate", "rollbackAllowed"]);

/**
 * Docker's previous spec is not shown, so a rollback goes to what was before our redeploy only if that redeploy is the
 * newest write: then `forceUpdate` is one higher and everything else that Swarmpit shows is as it was. A write that
 * replaces no task leaves no update status behind, which a redeploy always does.
 * @param row the service as the API shows it, its environment included
 * @param key a secret: what a hash without one stands for could be found out by trying, and stamps are recorded
 */
export function stampOf(service: SwarmpitService, row: unknown, key: string): Workload["stamp"] {
  const { forceUpdate, rollbackAllowed } = service.deployment ?? {};
  if (typeof forceUpdate !== "number" || typeof row !== "object" || row === null) return undefined;
  const rest = createHmac("sha256", key)
    .update(canonical(lasting(row)))
    .digest("hex")
    .slice(0, 32);
  const isByUpdate = rollbackAllowed === true && (service.status?.update ?? null) !== null;
  return {
    now: `${forceUpdate} ${rest}${isByUpdate ? "" : " written since"}`,
    next: `${forceUpdate + 1} ${rest}`,
  };
}

function lasting(row: object): object {
  const kept = Object.entries(row).filter(([key]) => !volatile.has(key));
  return Object.fromEntries(
    kept.map(([key, value]: [string, unknown]) =>
      key === "deployment" && typeof value === "object" && value !== null
        ? [key, Object.fromEntries(Object.entries(value).filter(([name]) => !volatileInDeployment.has(name)))]
        : [key, value],
    ),
  );
}

/** The same text for the same facts: what Swarmpit keeps by name, like labels, it lists in any order. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) {
    const items = value.map(canonical);
    return `[${(value.every((item) => typeof item === "object") ? items.toSorted() : items).join(",")}]`;
  }
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(",")}}`;
}
