import type { Due } from "../ledger/ledger.ts";
import { advance } from "./advance.ts";
import { advanceImage } from "./advance-image.ts";
import { type Budget, type FlowDeps, glance } from "./deps.ts";
import { gather, sendLetters } from "./letters.ts";
import { handlePush, sweepPush } from "./push.ts";
import { tellRefusedConfig } from "./refused-config.ts";
import { attend } from "./relook.ts";
import { resumeEvent } from "./resume.ts";

/** One piece of unfinished work that a sweep found. */
export interface SweepRow {
  readonly kind: "rollout" | "event" | "ref" | "image" | "letter";
  readonly id: string;
  readonly outcome: "carried-on" | "failed";
  readonly error?: string;
}

export interface SweepReport {
  readonly mode: "sweep";
  readonly work: readonly SweepRow[];
}

const maxWork = 100;
const maxLooks = 20;
const kinds = { workloads: "rollout", refs: "ref", events: "event", images: "image" } as const;

/**
 * Carries on what a dead or finished invocation left: open rollouts, events that wait, refs that nobody holds; and tells
 * people what they want to know, beside that. One ledger query when nothing is due; nothing outside the ledger is asked
 * for then.
 */
export async function sweep(deps: FlowDeps, budget: Budget): Promise<SweepReport> {
  await tellRefusedConfig(deps);
  const look = async () => deps.ledger.due(await deps.ledger.clock(), maxWork);
  let due = await look();
  // As many notices as are looked for hide other work.
  for (let looks = 1; due.length === maxWork && due.some(isNotice) && looks < maxLooks; looks++) {
    await gather(
      deps,
      due.filter(isNotice).map(({ document }) => document),
    );
    due = await look();
  }
  const [letters, ...work] = await Promise.all([
    carryLetters(deps, due, budget),
    ...due.filter(isWork).map((each) => carryOn(deps, each, budget)),
  ]);
  return { mode: "sweep", work: [...work, ...letters] };
}

type DueNotice = Extract<Due, { readonly collection: "notices" }>;
type DueLetter = Extract<Due, { readonly collection: "letters" }>;
type Work = Exclude<Due, DueNotice | DueLetter>;

function isNotice(due: Due): due is DueNotice {
  return due.collection === "notices";
}

function isLetter(due: Due): due is DueLetter {
  return due.collection === "letters";
}

function isWork(due: Due): due is Work {
  return !isNotice(due) && !isLetter(due);
}

async function carryLetters(
  deps: FlowDeps,
  due: readonly Due[],
  budget: Budget,
): Promise<readonly SweepRow[]> {
  const gathered = await gather(
    deps,
    due.filter(isNotice).map(({ document }) => document),
  );
  const letters = new Map(
    [...due.filter(isLetter).map(({ document }) => document), ...gathered].map((each) => [each.id, each]),
  );
  const looked = await sendLetters(deps, [...letters.values()], budget);
  return looked.map(({ id, error }) =>
    error === undefined
      ? { kind: "letter", id, outcome: "carried-on" }
      : { kind: "letter", id, outcome: "failed", error },
  );
}

async function carryOn(deps: FlowDeps, due: Work, budget: Budget): Promise<SweepRow> {
  const { id } = due.document;
  try {
    switch (due.collection) {
      case "refs": {
        const { repository, tag } = due.document.value;
        const nowMs = await deps.ledger.clock();
        await handlePush(deps, sweepPush(`sweep-${deps.newId()}`, repository, tag, nowMs), budget);
        return { kind: "ref", id, outcome: "carried-on" };
      }
      case "images":
        await advanceImage(deps, due.document.value.repository, budget);
        return { kind: "image", id, outcome: "carried-on" };
      case "events":
        await resumeEvent(deps, due.document, budget);
        return { kind: "event", id, outcome: "carried-on" };
      case "workloads": {
        const { open, workload } = due.document.value;
        if (open !== undefined) {
          const ticket = { document: due.document, open };
          // A verifying rollout most likely has an invocation of its own: one look, and no second chain of them.
          const own = open.state === "verifying" ? glance : budget;
          await advance(deps, workload, open.seq, own, ticket);
        } else {
          await attend(deps, due.document, budget);
        }
        return { kind: "rollout", id, outcome: "carried-on" };
      }
      default:
        return due satisfies never;
    }
  } catch (error) {
    // One failing piece never stops the others; it stays due and is found again.
    const message = error instanceof Error ? error.message : String(error);
    deps.log.write("error", `${id}: ${message}`, { kind: due.collection });
    return {
      kind: kinds[due.collection],
      id,
      outcome: "failed",
      error: message,
    };
  }
}
