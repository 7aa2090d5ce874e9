/**
 * Every write to the ledger and every call to the outside that a flow makes, by name. A crash may come right before or
 * right after each of them; the fault tests kill a process at all of them, so a flow acts through `step` only.
 */
export const faultPoints = [
  "ref.claim",
  "ref.dirty",
  "ref.result",
  "ref.release",
  "ref.seen",
  "ref.queued",
  "registry.head",
  "registry.platforms",
  "registry.tags",
  "registry.get",
  "registry.put",
  "history.order",
  "image.record",
  "image.intent",
  "image.result",
  "image.trouble",
  "image.conflict",
  "image.check",
  "image.proof",
  "image.planned",
  "event.record",
  "event.claim",
  "event.verdicts",
  "order.record",
  "drift.lease",
  "drift.baseline",
  "drift.told",
  "drift.report",
  "workload.plan",
  "workload.note",
  "workload.claim",
  "workload.correct",
  "workload.yield",
  "workload.accepted",
  "workload.remember",
  "workload.finish",
  "target.list",
  "target.get",
  "target.platforms",
  "target.update",
  "target.look",
  "bus.continue",
  "bus.dead-letter",
  "notice.record",
  "notice.gather",
  "letter.claim",
  "letter.send",
  "letter.result",
] as const;
export type FaultPoint = (typeof faultPoints)[number];

export interface Recorder {
  step<T>(point: FaultPoint, act: () => Promise<T>): Promise<T>;
}

/** What runs in production: the act and nothing else. */
export const plainRecorder: Recorder = { step: (_point, act) => act() };
