import { explainOutcome } from "../../../shared/domain/outcomes.ts";
import type { ImageDocument } from "../../../shared/ledger/image-document.ts";
import type { Verdict } from "../../../shared/ledger/ledger.ts";
import type { Explained } from "../explanation.ts";
import type { EventView, WorkloadView } from "../history.ts";
import { renderImages } from "./images.ts";
import { renderRollout, renderRollouts } from "./rollouts.ts";
import { renderStatus } from "./status.ts";
import { columns, indented, oneLine, table } from "./table.ts";
import { ago, instant } from "./time.ts";
import {
  explainVerdict,
  mannerText,
  orderText,
  shortCommit,
  shortDigest,
  shortDigests,
  shortImage,
  subjectOf,
} from "./words.ts";

const maxOtherTags = 10;

/** What was heard, what the registry said, what was decided and what came of it, for a person. */
export function renderExplanation(explained: Explained, nowMs: number): string {
  switch (explained.kind) {
    case "image":
      return joined(renderImage(explained, nowMs));
    case "workload":
      return joined(renderWorkload(explained, nowMs));
    case "event":
      return joined([
        renderEvent(explained.event, nowMs),
        ...imagePart(explained.image, nowMs),
        ...explained.rollouts.map(
          (rollout) => `${rollout.workload}\n${indented(renderRollout(rollout, nowMs), "  ")}`,
        ),
      ]);
    default:
      return explained satisfies never;
  }
}

function renderImage(image: Explained & { kind: "image" }, nowMs: number): readonly string[] {
  const name = image.tag === undefined ? image.repository : `${image.repository}:${image.tag}`;
  return [
    name,
    ...imagePart(image.image, nowMs),
    ...image.refs.map(({ tag, digest, generation, observedMs, earlier }) =>
      digest === undefined
        ? `The registry: nothing is known of ${tag} yet.`
        : `The registry: ${tag} is ${shortDigest(digest)}${observedMs === undefined ? "" : `, seen ${ago(observedMs, nowMs)}`}; change number ${generation}${
            earlier.length === 0 ? "" : `, before it ${earlier.slice(0, 3).map(shortDigest).join(", ")}`
          }.`,
    ),
    ...(image.events.length === 0
      ? [neverHeard(name, image.meant)]
      : image.events.map((event) => renderEvent(event, nowMs))),
    ...(image.rollouts.length === 0
      ? []
      : [`Rollouts\n${indented(renderRollouts(image.rollouts, nowMs), "  ")}`]),
    ...(image.workloads.length === 0
      ? []
      : [
          `Workloads that Landfall deployed ${image.repository} to\n${indented(renderStatus(image.workloads, nowMs, image.image === undefined ? [] : [image.image]), "  ")}`,
        ]),
    ...nearMisses(image, nowMs),
  ];
}

function renderWorkload(
  { address, workload, images, rollouts, events }: Explained & { kind: "workload" },
  nowMs: number,
): readonly string[] {
  const details = workload === undefined ? "" : facts(workload);
  return [
    workload === undefined
      ? `${address}\n\nLandfall has rolled nothing out there.`
      : renderStatus([workload], nowMs, images),
    ...(details === "" ? [] : [details]),
    ...rollouts.map((rollout) => renderRollout(rollout, nowMs)),
    ...(events.length === 0
      ? ["Nothing that is on record concerned it."]
      : events.map((event) =>
          renderEvent(
            { ...event, verdicts: event.verdicts.filter((each) => each.workload === address) },
            nowMs,
          ),
        )),
  ];
}

function imagePart(image: ImageDocument | undefined, nowMs: number): readonly string[] {
  return image === undefined ? [] : [renderImages([image], nowMs)];
}

function renderEvent(event: EventView, nowMs: number): string {
  const { push, build, state, outcome, detail, digest, verdicts, more, dueMs, looks } = event;
  const explained = outcome === undefined ? undefined : explainOutcome(outcome);
  const lines = [
    `${ago(event.heardMs, nowMs)} (${instant(event.heardMs)}): ${headline(event)}`,
    `  event    ${event.id}, ${push === undefined ? "" : `from ${push.source}, `}${state}${
      dueMs === undefined ? "" : `, looked at again ${ago(dueMs, nowMs)}`
    }${looks === 0 ? "" : `, asked ${looks + 1} times`}`,
    ...(build?.commit === undefined ? [] : [`  commit   ${build.commit}`]),
    ...(build?.buildUrl === undefined ? [] : [`  build    ${build.buildUrl}`]),
    ...(digest === undefined ? [] : [`  registry ${shortDigest(digest)}`]),
    ...(explained === undefined
      ? []
      : [
          `  outcome  ${outcome}: ${[explained.sentence, explained.next].filter((part) => part !== "").join(" ")}`,
        ]),
    ...(detail === undefined ? [] : [`  detail   ${shortDigests(detail)}`]),
  ].map((line) => `${/^ */.exec(line)?.[0] ?? ""}${oneLine(line)}`);
  if (verdicts.length > 0) lines.push(indented(renderVerdicts(verdicts), "  "));
  else if (outcome === "observed") lines.push("  No workload of any target runs this image.");
  if (more > 0) lines.push(`  ... and ${more} more that are not kept.`);
  return lines.join("\n");
}

/** What was heard, of what and from whom. */
function headline(event: EventView): string {
  const { push, build, promote, reconcile, order } = event;
  const subject = subjectOf(event);
  if (reconcile !== undefined) {
    const manner = mannerText(reconcile);
    return `${event.by} asked for a full run of ${subject}${manner === "" ? "" : ` (${manner})`}`;
  }
  if (order !== undefined) return `${subject}: ${event.by} ordered ${shortDigests(orderText(order))}`;
  if (promote !== undefined) return `${subject}: ${promote.by} ordered to ${orders[promote.how]}`;
  if (build !== undefined) {
    const { branch, commit, tag } = build;
    const from = commit === undefined || commit === tag ? "" : ` from ${shortCommit(commit)}`;
    return `${subject} built${from}${branch === undefined ? "" : `, on ${branch}`}`;
  }
  const by = push?.pusher === undefined ? "" : ` by ${push.pusher}`;
  return `${subject} ${push?.source === "sweep" ? "looked at again" : `pushed${by}`}`;
}

const orders = {
  move: "move it on",
  adopt: "adopt what somebody else put there",
  restore: "put back what was there",
} as const;

function renderVerdicts(verdicts: readonly Verdict[]): string {
  return table(
    ["WORKLOAD", "VERDICT", "WHY"],
    verdicts.map((verdict) => {
      const { sentence, next } = explainVerdict(verdict);
      return [
        verdict.workload,
        verdict.reason ?? verdict.kind,
        shortDigests(next === "" ? sentence : `${sentence} ${next}`),
      ];
    }),
  );
}

function facts({ deployed, lastGood, earlierGood = [], baseline }: WorkloadView): string {
  const images = (references: Readonly<Record<string, string>> | undefined) =>
    references === undefined ? [] : [Object.values(references).map(shortImage).join(" ")];
  return columns(
    [
      ...(deployed === undefined ? [] : [["deployed", Object.values(deployed).map(shortDigest).join(" ")]]),
      ...images(lastGood).map((image) => ["last good", image]),
      ...images(earlierGood[0]).map((image) => ["good before", image]),
      ...images(baseline).map((image) => ["before Landfall", image]),
    ],
    "",
  );
}

function nearMisses(
  { otherTags, alike, repository }: Explained & { kind: "image" },
  nowMs: number,
): readonly string[] {
  const shown = otherTags.slice(0, maxOtherTags).map(({ tag, heardMs }) => [tag, ago(heardMs, nowMs)]);
  const rest = otherTags.length - shown.length;
  return [
    ...(shown.length === 0
      ? []
      : [
          `Other tags of ${repository} that were heard\n${columns(shown, "  ")}${rest > 0 ? `\n  ... and ${rest} more` : ""}`,
        ]),
    ...(alike.length === 0
      ? []
      : [
          `Repositories of the same name elsewhere\n${columns(
            alike.map((each) => [each]),
            "  ",
          )}`,
        ]),
  ];
}

function neverHeard(name: string, meant: string | undefined): string {
  return [
    `No push of ${name} is on record.${meant === undefined ? "" : ` Did you mean \`${meant}\`?`}`,
    "If it was pushed: check that the registry's webhook points here and was delivered, that its secret is one of `webhooks`,",
    "and that the name and the tag are spelled as they were pushed (tags are case-sensitive).",
  ].join("\n");
}

function joined(parts: readonly string[]): string {
  return parts.join("\n\n");
}
