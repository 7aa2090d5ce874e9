import type { NoticeKind } from "../domain/notice.ts";
import type { Rollout } from "../domain/rollout.ts";
import type { OpenRollout, Write } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";
import { noticeWrites } from "./notices.ts";
import type { Ticket } from "./plan-writes.ts";

/** What else ends or begins with the rollout. */
interface Around {
  /** The end of the rollout that it undid. */
  readonly undone?: Write | undefined;
  /** What the workload goes on with by itself. */
  readonly next?: Pick<OpenRollout, "cause" | "retries" | "retryMs"> | undefined;
}

const nextSteps = {
  failed: "`landfall explain WORKLOAD` tells why.",
  "rolled-back":
    "`landfall explain WORKLOAD` tells why. An image that failed by itself is held: push one that works.",
  "rollback-unavailable": "Put it right by hand, or push an image that works.",
} as const satisfies Partial<Record<NoticeKind, string>>;

/**
 * What has people told how a rollout ended. One that is undone is told of when that has ended, in one notice; of those
 * that are tried again and again the first one and the last.
 */
export function rolloutNotice(
  deps: Pick<FlowDeps, "notifiers" | "newId">,
  { document, open }: Ticket,
  outcome: Pick<Rollout, "state" | "reason">,
  { undone, next }: Around,
  nowMs: number,
): readonly Write[] {
  const about = undone?.collection === "rollouts" ? undone.value : { ...outcome, seq: open.seq, to: open.to };
  const kind = kindOf(about.state);
  // A rollback that was replaced: whatever replaced it has an end of its own.
  if (kind === undefined || (outcome.state === "superseded" && undone !== undefined)) return [];
  const isRetried = next?.cause.kind === "retry";
  if (isRetried && (next.retries ?? 1) > 1) return [];
  const images = [
    ...new Set(
      Object.values(about.to).map(({ repository, tag, digest }) => `${repository}:${tag}@${digest}`),
    ),
  ];
  const names = Object.values(about.to).map(({ repository, tag }) => `${repository}:${tag}`);
  const { cause } = open;
  const by = cause.by === undefined ? "" : `, by ${cause.by}`;
  const retry =
    isRetried && next.retryMs !== undefined
      ? `; it is tried again in ${Math.round((next.retryMs - nowMs) / 1_000)} s`
      : "";
  const sentence = `rollout ${about.seq} to ${[...new Set(names)].join(", ")}${by}: ${about.reason ?? kind}${retry}`;
  return noticeWrites(deps, {
    kind,
    subject: document.value.workload,
    sentence,
    ...(kind === "succeeded" ? {} : { next: nextSteps[kind] }),
    images,
    event: cause.event,
    seq: about.seq,
    atMs: nowMs,
  });
}

function kindOf(state: Rollout["state"]): "succeeded" | keyof typeof nextSteps | undefined {
  switch (state) {
    case "succeeded":
    case "failed":
    case "rolled-back":
    case "rollback-unavailable":
      return state;
    case "planned":
    case "applying":
    case "verifying":
    case "rolling-back":
    case "superseded":
      return undefined;
    default:
      return state satisfies never;
  }
}
