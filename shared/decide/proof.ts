import type { Digest } from "../domain/reference.ts";
import type { Look } from "../targets/target.ts";
import { crashesOf, slots } from "./verify.ts";

/** How a workload does that is to prove a digest. */
export type Health =
  /** `lost`: how many of its tasks have ended by themselves so far, restarts in place included. */
  { readonly kind: "well"; readonly lost: number } | { readonly kind: "failed"; readonly detail: string };

/** Whether as many tasks run as are wanted. Those that were lost earlier are a number to be compared with a later one. */
export function judgeHealth({ tasks, wantedTasks, workload }: Look, digest: Digest): Health {
  const running = slots(tasks.filter((task) => task.desired && task.state === "running"));
  if (running < wantedTasks) {
    return { kind: "failed", detail: `${workload.id}: ${running} of ${wantedTasks} tasks run` };
  }
  const ours = tasks.filter(({ images }) =>
    Object.values(images).some((image) => image.endsWith(`@${digest}`)),
  );
  return { kind: "well", lost: crashesOf(ours) };
}
