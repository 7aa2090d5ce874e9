import { nearest } from "../../shared/config/nearest.ts";
import { pathOf, type Repository } from "../../shared/domain/reference.ts";
import type { ImageDocument } from "../../shared/ledger/image-document.ts";
import {
  imageOf,
  type Ledger,
  type RefDocument,
  refId,
  type WorkloadDocument,
} from "../../shared/ledger/ledger.ts";
import { matchAddress } from "./address.ts";
import {
  concerns,
  type EventView,
  type RolloutView,
  readEvents,
  readImages,
  readRollout,
  readRollouts,
  readWorkloads,
  type WorkloadView,
  withCommits,
} from "./history.ts";
import { type AskedImage, isTail, readImage, repositoriesMeant } from "./image-name.ts";

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
      /** The builds and channels of the repository, where it has any. */
      readonly image?: ImageDocument;
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
      /** The images that it runs, as far as they have builds, channels or holds. */
      readonly images: readonly ImageDocument[];
      readonly rollouts: readonly RolloutView[];
      /** Events with a verdict for it. */
      readonly events: readonly EventView[];
    }
  | {
      readonly kind: "event";
      readonly event: EventView;
      /** The builds and channels of its repository, where it has any. */
      readonly image?: ImageDocument;
      readonly rollouts: readonly RolloutView[];
    };

export type Explanation =
  | { readonly kind: "explained"; readonly explained: Explained }
  | { readonly kind: "ambiguous"; readonly candidates: readonly string[] }
  | { readonly kind: "invalid"; readonly reason: string };

/** What is read for any question. */
interface Read {
  readonly workloads: readonly WorkloadView[];
  readonly images: readonly ImageDocument[];
  readonly heard: readonly EventView[];
}

/** Finds out what was asked about, in this order: an event, a workload, an image. */
export async function explain(
  ledger: Ledger,
  asked: string,
  nowMs: number,
  limit: number,
): Promise<Explanation> {
  const workloads = await readWorkloads(ledger);
  const images = await readImages(ledger);
  const stored = await ledger.get("events", asked);
  if (stored !== undefined) {
    const event = { ...stored.value, id: stored.id };
    const rollouts = withCommits(await rolloutsOf(ledger, [event], workloads), images);
    const image = images.find(({ repository }) => repository === imageOf(event)?.repository);
    const known = image === undefined ? {} : { image };
    return { kind: "explained", explained: { kind: "event", event, ...known, rollouts } };
  }
  const read = { workloads, images, heard: await readEvents(ledger, {}, nowMs) };
  const match = matchAddress(asked, addresses(read));
  switch (match.kind) {
    case "several":
      return { kind: "ambiguous", candidates: match.ids };
    case "one":
      return { kind: "explained", explained: await explainWorkload(ledger, match.id, read, limit) };
    case "none": {
      const image = readImage(asked);
      if (image.kind === "invalid") return image;
      const all = knownRepositories(read);
      const [repository, ...others] = repositoriesMeant(image, all);
      if (others.length > 0) {
        return {
          kind: "ambiguous",
          candidates: [repository, ...others].map((each) => withTag(each, image.tag)),
        };
      }
      const explained = await explainImage(ledger, { ...image, repository }, read, nowMs, limit);
      if (isKnown(explained)) return { kind: "explained", explained };
      const meant = match.meant ?? nearest(image.name, [...all].map(pathOf));
      return { kind: "explained", explained: { ...explained, ...(meant === undefined ? {} : { meant }) } };
    }
    default:
      return match satisfies never;
  }
}

/** Whether anything at all is on record of what was asked. */
export function isKnown(explained: Explained): boolean {
  if (explained.kind !== "image") return true;
  const { events, workloads, image, tag } = explained;
  return events.length + workloads.length > 0 || (image !== undefined && tag === undefined);
}

async function explainWorkload(
  ledger: Ledger,
  address: string,
  { workloads, images, heard }: Read,
  limit: number,
): Promise<Explained & { readonly kind: "workload" }> {
  const events = heard.filter((event) => concerns(event, address)).slice(0, limit);
  const workload = workloads.find((each) => each.workload === address);
  if (workload === undefined) return { kind: "workload", address, images: [], rollouts: [], events };
  const rollouts = await readRollouts(ledger, workloads, { workload: workload.workload }, limit);
  const own = images.filter(({ repository }) => repositoriesOf(workload).includes(repository));
  return {
    kind: "workload",
    address,
    workload,
    images: own,
    rollouts: withCommits(rollouts, images),
    events,
  };
}

async function explainImage(
  ledger: Ledger,
  { repository, tag }: AskedImage & { readonly kind: "image" },
  read: Read,
  nowMs: number,
  limit: number,
): Promise<Explained & { readonly kind: "image" }> {
  const { workloads, images } = read;
  const heard = await readEvents(ledger, { repository }, nowMs);
  const events = heard.filter((event) => tag === undefined || isOf(event, tag)).slice(0, limit);
  const tags = new Set(tag === undefined ? heard.flatMap((event) => imageOf(event)?.tag ?? []) : [tag]);
  const refs = await Promise.all([...tags].map((each) => ledger.get("refs", refId(repository, each))));
  const image = images.find((each) => each.repository === repository);
  return {
    kind: "image",
    repository,
    ...(tag === undefined ? {} : { tag }),
    ...(image === undefined ? {} : { image }),
    refs: refs.flatMap((ref) => (ref === undefined ? [] : [ref.value])),
    events,
    rollouts: withCommits(await rolloutsOf(ledger, events, workloads), images),
    workloads: workloads.filter((workload) => repositoriesOf(workload).includes(repository)),
    otherTags: tag === undefined ? [] : otherTags(heard, tag),
    alike: [...knownRepositories(read)]
      .filter((each) => each !== repository && isTail(each, lastPart(repository)))
      .toSorted(),
  };
}

/** Whether an event is of a tag; a build is also asked about by its commit. */
function isOf(event: EventView, tag: string): boolean {
  return imageOf(event)?.tag === tag || event.build?.commit === tag;
}

/** Every workload that is on record or that a push was judged for. */
function addresses({ workloads, heard }: Read): readonly string[] {
  const judged = heard.flatMap(({ verdicts }) => verdicts.map(({ workload }) => workload));
  return [...new Set([...workloads.map(({ workload }) => workload), ...judged])].filter(
    // A target that could not be asked has one verdict for all its workloads.
    (address) => !address.endsWith("/*"),
  );
}

function knownRepositories({ workloads, images, heard }: Read): ReadonlySet<Repository> {
  return new Set([
    ...heard.flatMap((event) => imageOf(event)?.repository ?? []),
    ...images.map(({ repository }) => repository),
    ...workloads.flatMap(repositoriesOf),
  ]);
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
  for (const event of heard) {
    const tag = imageOf(event)?.tag;
    if (tag === undefined || isOf(event, asked) || last.has(tag)) continue;
    last.set(tag, { tag, heardMs: event.heardMs, event: event.id });
  }
  return [...last.values()];
}

function repositoriesOf({ wanted }: WorkloadDocument): readonly Repository[] {
  return Object.values(wanted).map(({ repository }) => repository);
}

function lastPart(repository: Repository): string {
  return repository.slice(repository.lastIndexOf("/") + 1);
}

function withTag(repository: Repository, tag: string | undefined): string {
  return tag === undefined ? repository : `${repository}:${tag}`;
}
