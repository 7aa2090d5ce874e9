import type { ImageDocument } from "../../shared/ledger/image-document.ts";
import type { Hold } from "../../shared/ledger/workload-document.ts";
import type { WorkloadView } from "./history.ts";
import { recorded } from "./named.ts";
import { ago, instant } from "./render/time.ts";
import { shortDigest, wantedText } from "./render/words.ts";

/** Something that keeps a workload from simply following its image, and what a person can do about it. */
export interface Standing {
  readonly what:
    | "rolling back"
    | "rolled back"
    | "not rolled back"
    | "retry"
    | "pinned"
    | "paused"
    | "held"
    | "channel";
  readonly text: string;
  readonly next?: string;
}

/** Decisions of people and of Landfall that stand for a workload, what is most pressing first. */
export function standingOf(
  workload: WorkloadView,
  images: readonly ImageDocument[],
  nowMs: number,
): readonly Standing[] {
  return [
    ...undone(workload, nowMs),
    ...pinned(workload, nowMs),
    ...paused(workload, nowMs),
    ...held(workload, images, nowMs),
    ...behindChannel(workload, images),
  ];
}

function undone({ workload, newest, failed, open }: WorkloadView, nowMs: number): readonly Standing[] {
  if (newest?.state === "rollback-unavailable") {
    const text = `rollout ${newest.seq} failed, and nothing could be brought back: ${newest.reason ?? ""}`;
    const next = `Push an image that works, or \`landfall deploy IMAGE:TAG ${workload}\` with one that does.`;
    return [{ what: "not rolled back", text, next }];
  }
  if (newest === undefined || failed === undefined) return [];
  const blame = failed.blame === undefined ? "" : `, blamed on the ${failed.blame}`;
  const why = `rollout ${failed.seq} to ${wantedText(failed.to)} failed${blame}: ${failed.reason ?? ""}`;
  if (newest.cause.kind === "retry") {
    if (open === undefined) return [];
    const when = (open.retryMs ?? 0) > nowMs ? `, ${ago(open.retryMs ?? 0, nowMs)}` : "";
    return [{ what: "retry", text: `${why}; try ${(open.retries ?? 0) + 1} is rollout ${open.seq}${when}` }];
  }
  if (newest.cause.kind !== "rollback") return [];
  const isOver = open === undefined;
  if (failed.state === "rollback-unavailable") {
    return [{ what: "not rolled back", text: why, next: `\`landfall explain ${workload}\` has the steps.` }];
  }
  const how = `${isOver ? "it went" : "it goes"} back to ${wantedText(newest.to)} by rollout ${newest.seq}`;
  return [{ what: isOver ? "rolled back" : "rolling back", text: `${how}; ${why}` }];
}

function pinned({ pin, workload, newest }: WorkloadView, nowMs: number): readonly Standing[] {
  if (pin === undefined) return [];
  const how = newest?.cause.kind === "rollback" ? " by a rollback" : "";
  const until = pin.until === "next" ? "until something newer comes" : "until it is released";
  return [
    {
      what: "pinned",
      text: `by ${pin.by} ${ago(pin.sinceMs, nowMs)}${how}, ${until}${because(pin.reason)}`,
      next: `\`landfall release ${workload}\` lets it follow its image again.`,
    },
  ];
}

function paused({ pause, workload }: WorkloadView, nowMs: number): readonly Standing[] {
  if (pause === undefined) return [];
  const { by, sinceMs, untilMs, reason } = pause;
  const until = untilMs === undefined ? "" : `, until ${instant(untilMs)} (${ago(untilMs, nowMs)})`;
  return [
    {
      what: "paused",
      text: `by ${by} ${ago(sinceMs, nowMs)}${until}${because(reason)}`,
      next: `\`landfall resume ${workload}\` ends it.`,
    },
  ];
}

function held(
  { holds, workload, wanted, failed }: WorkloadView,
  images: readonly ImageDocument[],
  nowMs: number,
): readonly Standing[] {
  const repositories = Object.values(wanted).map(({ repository }) => repository);
  const everywhere = images.filter(({ repository }) => repositories.includes(repository));
  return [
    ...holds.map((hold): Standing => {
      const isSaid = hold.by === undefined && hold.reason === failed?.reason;
      const text = holdText(isSaid ? { ...hold, reason: "for that" } : hold, nowMs);
      return {
        what: "held",
        text,
        next: `\`landfall release ${workload} ${shortDigest(hold.digest)}\` lets it come.`,
      };
    }),
    ...everywhere.flatMap(({ repository, holds: all = [] }) =>
      all.map((hold): Standing => {
        const next = `\`landfall release ${repository}@${shortDigest(hold.digest)}\` lets it come.`;
        return { what: "held", text: `everywhere: ${holdText(hold, nowMs)}`, next };
      }),
    ),
  ];
}

/** Who holds a digest, since when and why. */
function holdText({ digest, by = "Landfall", sinceMs, reason }: Hold, nowMs: number): string {
  return `${shortDigest(digest)} by ${by} ${ago(sinceMs, nowMs)}${because(reason)}`;
}

/** A workload that was brought away from what its channel has: whoever starts it anew from the tag gets that again. */
function behindChannel(workload: WorkloadView, images: readonly ImageDocument[]): readonly Standing[] {
  const { open, newest, pin, holds } = workload;
  const wasBrought = pin !== undefined || newest?.cause.kind === "rollback" || holds.length > 0;
  if (open !== undefined || !wasBrought) return [];
  return Object.values(recorded(workload)).flatMap(
    ({ repository, tag, digest, line }): readonly Standing[] => {
      if (line !== "channel") return [];
      const promoted = images.find((image) => image.repository === repository)?.channels[tag]?.promoted;
      if (promoted === undefined || promoted.digest === digest) return [];
      const text = `${repository}:${tag} still names ${shortDigest(promoted.digest)}, and this runs ${shortDigest(digest)}`;
      const next = `\`landfall rollback ${workload.workload} --channel\` brings the tag back to what runs here.`;
      return [{ what: "channel", text, next }];
    },
  );
}

function because(reason: string | undefined): string {
  return reason === undefined ? "" : `: ${reason}`;
}
