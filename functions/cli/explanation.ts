import { nearest } from "../../shared/config/nearest.ts";
import { repositoryOf } from "../../shared/domain/push.ts";
import { parseReference, parseRepository, pathOf, type Repository } from "../../shared/domain/reference.ts";
import { type Ledger, type RefDocument, refId, type WorkloadDocument } from "../../shared/ledger/ledger.ts";
import { matchAddress } from "./address.ts";
import {
  type EventView,
  type RolloutView,
  readEvents,
  readRollout,
  readRollouts,
  readWorkloads,
  type WorkloadView,
} from "./history.ts";

/** Another tag of the repository that was heard. */
interface OtherTag {
  readonly tag: string;
  readonly heardMs: number;
  readonly event: string;
}

/** Everything the ledger knows about what was asked. */
export type Explained =
  | {
      readonly kind: "image";
      readonly repository: Repository;
      readonly tag?: string;
      /** What the registry said of the tags asked for. */
      readonly refs: readonly RefDocument[];
      readonly events: readonly EventView[];
      /** Rollouts that these events led to, newest first. */
      readonly rollouts: readonly RolloutView[];
      /** Workloads that Landfall has deployed this repository to, whatever the tag. */
      readonly workloads: readonly WorkloadView[];
      /** Near misses: other tags that were heard, last first. */
      readonly otherTags: readonly OtherTag[];
      /** Near misses: repositories of the same name elsewhere. */
      readonly alike: readonly Repository[];
      /** Where nothing at all is known: the workload or repository that is spelled most like it. */
      readonly meant?: string;
    }
  | {
      readonly kind: "workload";
      readonly address: string;
      /** Absent when it was only ever skipped. */
      readonly workload?: WorkloadView;
      readonly rollouts: readonly RolloutView[];
      /** Events with a verdict for it. */
      readonly events: readonly EventView[];
    }
  | { readonly kind: "event"; readonly event: EventView; readonly rollouts: readonly RolloutView[] };

export type Explanation =
  | { readonly kind: "explained"; readonly explained: Explained }
  | { readonly kind: "ambiguous"; readonly candidates: readonly string[] }
  | { readonly kind: "invalid"; readonly reason: string };

/** Finds out what was asked about, in this order: an event, a workload, an image. */
export async function explain(
  ledger: Ledger,
  asked: string,
  nowMs: number,
  limit: number,
): Promise<Explanation> {
  const workloads = await readWorkloads(ledger);
  const stored = await ledger.get("events", asked);
  if (stored !== undefined) {
    const event = { ...stored.value, id: stored.id };
    const rollouts = await rolloutsOf(ledger, [event], workloads);
    return { kind: "explained", explained: { kind: "event", event, rollouts } };
  }
  const heard = await readEvents(ledger, {}, nowMs);
  const match = matchAddress(asked, addresses(workloads, heard));
  switch (match.kind) {
    case "several":
      return { kind: "ambiguous", candidates: match.ids };
    case "one":
      return {
        kind: "explained",
        explained: await explainWorkload(ledger, match.id, workloads, heard, limit),
      };
    case "none": {
      const image = readImage(asked);
      if (image.kind === "invalid") return image;
      const [repository, ...others] = repositoriesMeant(image, knownRepositories(workloads, heard));
      if (others.length > 0) {
        return {
          kind: "ambiguous",
          candidates: [repository, ...others].map((each) => withTag(each, image.tag)),
        };
      }
      const explained = await explainImage(ledger, { ...image, repository }, workloads, heard, nowMs, limit);
      if (explained.events.length + explained.workloads.length > 0) return { kind: "explained", explained };
      const known = [...knownRepositories(workloads, heard)].map(pathOf);
      const meant = match.meant ?? nearest(image.name, known);
      return { kind: "explained", explained: { ...explained, ...(meant === undefined ? {} : { meant }) } };
    }
    default:
      return match satisfies never;
  }
}

async function explainWorkload(
  ledger: Ledger,
  address: string,
  workloads: readonly WorkloadView[],
  heard: readonly EventView[],
  limit: number,
): Promise<Explained & { readonly kind: "workload" }> {
  const events = heard.filter((event) => concerns(event, address)).slice(0, limit);
  const workload = workloads.find((each) => each.workload === address);
  if (workload === undefined) return { kind: "workload", address, rollouts: [], events };
  const rollouts = await readRollouts(ledger, workloads, { workload: workload.workload }, limit);
  return { kind: "workload", address, workload, rollouts, events };
}

async function explainImage(
  ledger: Ledger,
  image: AskedImage & { readonly kind: "image" },
  workloads: readonly WorkloadView[],
  allHeard: readonly EventView[],
  nowMs: number,
  limit: number,
): Promise<Explained & { readonly kind: "image" }> {
  const { repository, tag } = image;
  const heard = await readEvents(ledger, { repository }, nowMs);
  const events = heard.filter(({ push }) => tag === undefined || push?.tag === tag).slice(0, limit);
  const tags = new Set(tag === undefined ? heard.flatMap(({ push }) => push?.tag ?? []) : [tag]);
  const refs = await Promise.all([...tags].map((each) => ledger.get("refs", refId(repository, each))));
  const known = knownRepositories(workloads, allHeard);
  return {
    kind: "image",
    repository,
    ...(tag === undefined ? {} : { tag }),
    refs: refs.flatMap((ref) => (ref === undefined ? [] : [ref.value])),
    events,
    rollouts: await rolloutsOf(ledger, events, workloads),
    workloads: workloads.filter((workload) => repositoriesOf(workload).includes(repository)),
    otherTags: tag === undefined ? [] : otherTags(heard, tag),
    alike: [...known].filter((each) => each !== repository && isTail(each, lastPart(repository))).toSorted(),
  };
}

/** What a name can stand for: itself when it is known or nothing else is, else the known ones that end with it. */
function repositoriesMeant(
  { repository, name }: AskedImage & { readonly kind: "image" },
  known: ReadonlySet<Repository>,
): readonly [Repository, ...Repository[]] {
  if (known.has(repository)) return [repository];
  const [first, ...others] = [...known].filter((each) => isTail(each, name)).toSorted();
  return first === undefined ? [repository] : [first, ...others];
}

/** Every workload that is on record or that a push was judged for. */
function addresses(workloads: readonly WorkloadView[], heard: readonly EventView[]): readonly string[] {
  const judged = heard.flatMap(({ verdicts }) => verdicts.map(({ workload }) => workload));
  return [...new Set([...workloads.map(({ workload }) => workload), ...judged])].filter(
    // A target that could not be asked has one verdict for all its workloads.
    (address) => !address.endsWith("/*"),
  );
}

function knownRepositories(
  workloads: readonly WorkloadView[],
  heard: readonly EventView[],
): ReadonlySet<Repository> {
  return new Set([
    ...heard.flatMap(({ push }) => (push === undefined ? [] : [repositoryOf(push)])),
    ...workloads.flatMap(repositoriesOf),
  ]);
}

type AskedImage =
  | { readonly kind: "image"; readonly repository: Repository; readonly tag?: string; readonly name: string }
  | { readonly kind: "invalid"; readonly reason: string };

/** Unlike `docker`, a name without a tag stands for all tags. `name` is the repository as it was typed. */
function readImage(text: string): AskedImage {
  const parsed = parseReference(text);
  if (parsed.kind === "invalid") return parsed;
  const { repository, tag } = parsed.reference;
  const untagged = text.replace(/@.*$/, "");
  if (parseRepository(untagged).kind === "repository") return { kind: "image", repository, name: untagged };
  const name = untagged.slice(0, untagged.lastIndexOf(":"));
  return { kind: "image", repository, name, ...(tag === undefined ? {} : { tag }) };
}

/** The rollouts that verdicts of these events name, newest first. */
async function rolloutsOf(
  ledger: Ledger,
  events: readonly EventView[],
  workloads: readonly WorkloadDocument[],
): Promise<readonly RolloutView[]> {
  const byId = new Map(workloads.map((workload) => [workload.workload, workload]));
  const wanted = new Map(
    events.flatMap(({ verdicts }) =>
      verdicts.flatMap(({ workload, seq }) =>
        seq === undefined ? [] : [[`${workload} ${seq}`, { workload, seq }]],
      ),
    ),
  );
  const found = await Promise.all(
    [...wanted.values()].map(async ({ workload, seq }) => {
      const document = byId.get(workload);
      return document === undefined ? undefined : readRollout(ledger, document, seq);
    }),
  );
  return found
    .filter((rollout) => rollout !== undefined)
    .toSorted((left, right) => right.times.planned - left.times.planned);
}

function otherTags(heard: readonly EventView[], asked: string): readonly OtherTag[] {
  const last = new Map<string, OtherTag>();
  for (const { id, push, heardMs } of heard) {
    const tag = push?.tag;
    if (tag !== undefined && tag !== asked && !last.has(tag)) last.set(tag, { tag, heardMs, event: id });
  }
  return [...last.values()];
}

function concerns({ verdicts }: EventView, address: string): boolean {
  return verdicts.some(({ workload }) => workload === address);
}

function repositoriesOf({ wanted }: WorkloadDocument): readonly Repository[] {
  return Object.values(wanted).map(({ repository }) => repository);
}

function isTail(repository: Repository, name: string): boolean {
  return repository === name || pathOf(repository) === name || repository.endsWith(`/${name}`);
}

function lastPart(repository: Repository): string {
  return repository.slice(repository.lastIndexOf("/") + 1);
}

function withTag(repository: Repository, tag: string | undefined): string {
  return tag === undefined ? repository : `${repository}:${tag}`;
}
