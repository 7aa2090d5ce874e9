import { isCommit } from "../../../shared/domain/commit.ts";
import type { FullRunRequest } from "../../../shared/domain/full-run.ts";
import type { Order } from "../../../shared/domain/order.ts";
import { explainOutcome } from "../../../shared/domain/outcomes.ts";
import { type Explanation, explainSkip } from "../../../shared/domain/reasons.ts";
import { printReference } from "../../../shared/domain/reference.ts";
import type { Wanted } from "../../../shared/domain/rollout.ts";
import { type EventDocument, imageOf, type Verdict } from "../../../shared/ledger/ledger.ts";
import { instant } from "./time.ts";

/** What was decided for one workload, as a sentence and a way on (empty when there is nothing to do). */
export function explainVerdict({ kind, reason, detail, seq }: Verdict): Explanation {
  const suffix = detail === undefined ? "" : ` (${detail})`;
  switch (kind) {
    case "planned":
      return {
        sentence: `${seq === undefined ? "A rollout" : `Rollout ${seq}`} was planned.${suffix}`,
        next: "",
      };
    case "joined":
      return {
        sentence: `The rollout under way${seq === undefined ? "" : `, number ${seq},`} already leads to this digest.${suffix}`,
        next: "",
      };
    case "waiting": {
      const { sentence, next } = explainOutcome(reason ?? "waiting");
      return { sentence: `Waits: ${sentence}${suffix}`, next };
    }
    case "skipped": {
      const { sentence, next } = explainSkip(reason ?? "unknown");
      return { sentence: `${sentence}${suffix}`, next: next.startsWith("Nothing to do.") ? "" : next };
    }
    default:
      return kind satisfies never;
  }
}

/** A digest as tables show it: 12 hex digits. */
export function shortDigest(digest: string | undefined): string {
  return digest === undefined ? "-" : digest.replace(/^sha256:/, "").slice(0, 12);
}

/** An image as a target spells it, its digest shortened. */
export function shortImage(image: string): string {
  return image.replace(/@sha256:([0-9a-f]{12})[0-9a-f]*/, "@$1");
}

/** A commit as tables show it: 12 hex digits; anything else, a tag for example, as it is. */
export function shortCommit(text: string): string {
  return isCommit(text) ? text.slice(0, 12) : text;
}

/** What an event was about, e.g. `docker.io/acme/web:v1`; a message that could not be read has nothing. */
export function subjectOf(event: EventDocument): string {
  const { reconcile } = event;
  if (reconcile !== undefined) return scopeText(reconcile);
  if (event.order !== undefined) return orderedText(event.order);
  const image = imageOf(event);
  if (image === undefined) return "(unreadable message)";
  const { repository, tag } = image;
  return printReference({ repository, ...(tag === undefined ? {} : { tag }) });
}

/** What an order is about: a workload, else an image, else another event. */
function orderedText(order: Order): string {
  if (order.do === "replay") return order.of;
  if ("workload" in order && order.workload !== undefined) return order.workload;
  if (order.do === "accept") return `${order.image}:${shortCommit(order.tag)}`;
  return `${order.image}@${shortDigest(order.digest)}`;
}

/** What a person ordered, and why, e.g. `deploy docker.io/acme/web:v1: the one that worked`. */
export function orderText(order: Order): string {
  const why = order.reason === undefined ? "" : `: ${order.reason}`;
  return `${[order.do, ...detailOf(order)].join(" ")}${why}`;
}

function detailOf(order: Order): readonly string[] {
  switch (order.do) {
    case "deploy":
      return [`${order.image}:${order.tag}`, ...pinned(order.until)];
    case "rollback":
      return [...(order.channel === true ? ["with its channel"] : []), ...pinned(order.until)];
    case "hold":
      return [shortDigest(order.digest)];
    case "release":
      return order.digest === undefined ? [] : [shortDigest(order.digest)];
    case "pause":
      return order.untilMs === undefined ? [] : [`until ${instant(order.untilMs)}`];
    case "resume":
    case "replay":
      return [];
    case "accept":
      return ["as the head"];
    default:
      return order satisfies never;
  }
}

function pinned(until: "next" | "release"): readonly string[] {
  return until === "release" ? ["until it is released"] : [];
}

/** What a full run is asked to look at, e.g. `everything` or `swarm-prod, docker.io/acme/web`. */
export function scopeText({ targets = [], workloads = [], images = [] }: FullRunRequest): string {
  return [...targets, ...workloads, ...images].join(", ") || "everything";
}

/** How a full run goes about it, e.g. `dry run, adopting`; empty for one as it is scheduled. */
export function mannerText({ dryRun, adopt, approve }: FullRunRequest): string {
  return [
    ...(dryRun ? ["dry run"] : []),
    ...(adopt ? ["adopting"] : []),
    ...(approve === undefined ? [] : [`approving ${approve}`]),
  ].join(", ");
}

/** What a rollout leads to, e.g. `docker.io/acme/web:v1@4c46414c0000`, containers named when there are several. */
export function wantedText(wanted: Wanted): string {
  const entries = Object.entries(wanted);
  return entries
    .map(([container, { repository, tag, digest }]) => {
      const image = `${repository}:${tag}@${shortDigest(digest)}`;
      return entries.length > 1 ? `${container}=${image}` : image;
    })
    .join(" ");
}

/** A text with its digests as tables show them. */
export function shortDigests(text: string): string {
  return text.replace(/sha256:([0-9a-f]{12})[0-9a-f]{52}/g, "$1");
}
