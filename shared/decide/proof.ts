import type { Digest } from "../domain/reference.ts";
import type { Look } from "../targets/target.ts";

/** How a workload does that is to prove a digest. */
export type Health =
  /** `lost`: how many of its tasks have ended by themselves so far, restarts in place included. */
  { readonly kind: "well"; readonly lost: number } | { readonly kind: "failed"; readonly detail: string };

/** Whether as many tasks run as are wanted. Those that were lost earlier are a number to be compared with a later one. */
export function judgeHealth({ tasks, wantedTasks, workload }: Look, digest: Digest): Health {
  const running = new Set(
    tasks.filter((task) => task.desired && task.state === "running").map(({ slot }) => slot),
  );
  if (running.size < wantedTasks) {
    return { kind: "failed", detail: `${workload.id}: ${running.size} of ${wantedTasks} tasks run` };
  }
  const ours = tasks.filter(
    ({ images, environment }) =>
      environment !== true && Object.values(images).some((image) => image.endsWith(`@${digest}`)),
  );
  const restarts = ours.reduce((sum, task) => sum + task.restarts, 0);
  return { kind: "well", lost: restarts + ours.filter(({ state }) => state === "failed").length };
}
