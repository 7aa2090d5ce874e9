import type { PushMessage } from "../bus/bus.ts";
import type { Observed } from "../decide/push.ts";
import type { Digest } from "../domain/reference.ts";
import { printReference } from "../domain/reference.ts";
import type { Workload } from "../domain/workload.ts";
import { type EventDocument, imageOf } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";
import { isTooMuchOf } from "./drift-guard.ts";
import { newQuestions } from "./drift-questions.ts";
import { tell } from "./notices.ts";
import type { Observation } from "./observe.ts";

/** How long pushes are counted together, ms. */
const windowMs = 10 * 60_000;
/** Events that are looked through for them. */
const maxEvents = 200;

/** A push whose digest nobody named but the registry itself. */
export interface UnexplainedPush {
  /** Why it must not be deployed to a target with these workloads; `undefined`: it may. */
  stops(workloads: readonly Workload[]): string | undefined;
}

/**
 * Whether the registry moved a tag to where no sender says that it was pushed: to another digest than the payload names,
 * or, where that names none, back to an earlier one or to the digest of another repository. Nobody releases like that;
 * a registry that answers nonsense does, and so does one that was restored from a backup. Ordinary pushes cost nothing
 * where the sender names the digest, else one query.
 * @returns `undefined`: it is an ordinary push
 */
export async function unexplainedPush(
  deps: FlowDeps,
  { push, heardMs }: PushMessage,
  ref: Observed,
  seen: Observation & { kind: "observed" },
): Promise<UnexplainedPush | undefined> {
  const isNamed = push.digest !== undefined;
  if (push.source === "sweep" || !seen.moved || push.digest === ref.digest) return undefined;
  const nowMs = await deps.ledger.clock();
  const events = (await deps.ledger.events({ nowMs }, maxEvents)).map(({ value }) => value);
  const recent = events.filter((event) => event.heardMs > Math.min(heardMs, nowMs) - windowMs);
  const image = printReference({ repository: ref.repository, tag: ref.tag });
  const named = recent.some((event) => nameOf(event) === image && event.push?.digest === ref.digest);
  const isStrange = isNamed ? !named : seen.movedBack || isElsewhere(recent, ref);
  if (!isStrange) return undefined;
  const strange = recent.filter(({ unexplained }) => unexplained === true).map(nameOf);
  const images = new Set([...strange, image]);
  return {
    stops(workloads) {
      const questions = newQuestions(deps);
      const followed = new Set(
        workloads.flatMap((workload) =>
          workload.containers.flatMap((container) => {
            const follows = questions(workload, container);
            return follows.kind === "asks" ? [follows.question.key] : [];
          }),
        ),
      );
      const count = [...images].filter((each) => each !== undefined && followed.has(each)).length;
      if (!isTooMuchOf(deps, count, followed.size)) return undefined;
      return `within 10 minutes the registry moved ${count} of ${followed.size} images to where nobody says that they were pushed`;
    },
  };
}

function nameOf(event: EventDocument): string | undefined {
  const { repository, tag } = imageOf(event) ?? {};
  return repository === undefined || tag === undefined ? undefined : printReference({ repository, tag });
}

function isElsewhere(
  events: readonly EventDocument[],
  { repository, digest }: { readonly repository: string; readonly digest: Digest },
): boolean {
  return events.some((event) => event.digest === digest && imageOf(event)?.repository !== repository);
}

/** People are told once an hour of a target at which pushes are stopped. */
export async function tellStoppedPush(
  deps: FlowDeps,
  event: string,
  target: string,
  why: string,
): Promise<void> {
  const next =
    "`landfall reconcile --dry-run` shows what would be deployed, and the fingerprint that approves it.";
  const atMs = await deps.ledger.clock();
  deps.log.write("alert", `${target}: ${why}: nothing is deployed; ${next}`, { outcome: "guarded", event });
  const notice = {
    kind: "guarded",
    subject: target,
    sentence: `${why}: nothing is deployed`,
    next,
    atMs,
  } as const;
  await tell(deps, notice, `pushes ${Math.floor(atMs / 3_600_000)}`);
}
