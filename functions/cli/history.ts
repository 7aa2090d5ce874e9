import type { Commit } from "../../shared/domain/commit.ts";
import type { Rollout, RolloutState } from "../../shared/domain/rollout.ts";
import type { WorkloadId } from "../../shared/domain/workload.ts";
import type { ImageDocument } from "../../shared/ledger/image-document.ts";
import {
  type EventDocument,
  type Ledger,
  rolloutId,
  type WorkloadDocument,
} from "../../shared/ledger/ledger.ts";

/** A rollout as it stands now: an open one with what its workload knows of it. */
export interface RolloutView extends Rollout {
  /** Only while open: why it waits, and when it is looked at again. */
  readonly note?: string;
  readonly dueMs?: number;
  /** What each container is to run was built from, where a build of that digest is known. */
  readonly commits?: Readonly<Record<string, Commit>>;
}

/** An event with its id. */
export interface EventView extends EventDocument {
  readonly id: string;
}

/** A workload with its newest rollout. */
export interface WorkloadView extends WorkloadDocument {
  readonly newest?: RolloutView;
  /** The one that failed before it, where the newest undoes it or tries it again. */
  readonly failed?: RolloutView;
}

/** How many rollouts and events a command reads before it sorts them. */
const readLimit = 500;

/** Every workload of the ledger, by address. */
export async function readWorkloads(ledger: Ledger): Promise<readonly WorkloadView[]> {
  const workloads = await ledger.workloads();
  return Promise.all(
    workloads.map(async ({ value }) => {
      const newest = await readRollout(ledger, value, value.seq);
      const of = newest?.cause.of;
      const failed = of === undefined ? undefined : await readRollout(ledger, value, of);
      return {
        ...value,
        ...(newest === undefined ? {} : { newest }),
        ...(failed === undefined ? {} : { failed }),
      };
    }),
  );
}

/** One rollout; `undefined` when the ledger has none of that number. */
export async function readRollout(
  ledger: Pick<Ledger, "get">,
  workload: WorkloadDocument,
  seq: number,
): Promise<RolloutView | undefined> {
  const stored = await ledger.get("rollouts", rolloutId(workload.workload, seq));
  return stored === undefined ? undefined : viewOf(stored.value, workload);
}

/** Rollouts of one workload or of all, newest first. */
export async function readRollouts(
  ledger: Ledger,
  workloads: readonly WorkloadDocument[],
  filter: { readonly workload?: WorkloadId },
  limit = readLimit,
): Promise<readonly RolloutView[]> {
  const byId = new Map(workloads.map((workload) => [workload.workload, workload]));
  const rollouts = await ledger.rollouts(filter, limit);
  return rollouts.map(({ value }) => viewOf(value, byId.get(value.workload)));
}

/** Events, heard last first. */
export async function readEvents(
  ledger: Ledger,
  filter: Omit<Parameters<Ledger["events"]>[0], "nowMs">,
  nowMs: number,
  limit = readLimit,
): Promise<readonly EventView[]> {
  const events = await ledger.events({ ...filter, nowMs }, limit);
  return events.map(({ id, value }) => ({ ...value, id }));
}

/** Images whose builds have an order, by repository. */
export async function readImages(ledger: Pick<Ledger, "images">): Promise<readonly ImageDocument[]> {
  return (await ledger.images()).map(({ value }) => value);
}

/** Rollouts with the commits that their digests were built from, as far as the images know them. */
export function withCommits(
  rollouts: readonly RolloutView[],
  images: readonly ImageDocument[],
): readonly RolloutView[] {
  return rollouts.map((rollout) => {
    const commits = Object.entries(rollout.to).flatMap(([container, { repository, digest }]) => {
      const image = images.find((each) => each.repository === repository);
      const commit = image?.builds.find((built) => built.digest === digest)?.commit;
      return commit === undefined ? [] : [[container, commit] as const];
    });
    return commits.length === 0 ? rollout : { ...rollout, commits: Object.fromEntries(commits) };
  });
}

/** Whether an event was about a workload: judged for it, or an order for it. */
export function concerns({ verdicts, order }: EventDocument, workload: string): boolean {
  if (order !== undefined && "workload" in order && order.workload === workload) return true;
  return verdicts.some((verdict) => verdict.workload === workload);
}

export function isOpen(state: RolloutState): boolean {
  return state === "planned" || state === "applying" || state === "verifying";
}

/** While a rollout is open its workload's document is ahead of its own. */
function viewOf(rollout: Rollout, workload: WorkloadDocument | undefined): RolloutView {
  const open = workload?.open;
  if (open === undefined || open.seq !== rollout.seq) return rollout;
  const { state, times, note, dueMs } = open;
  return { ...rollout, state, times, dueMs, ...(note === undefined ? {} : { note }) };
}
