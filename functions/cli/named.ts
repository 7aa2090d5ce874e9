import { nearest } from "../../shared/config/nearest.ts";
import { type Digest, isDigest, parseReference, type Repository } from "../../shared/domain/reference.ts";
import type { Wanted, WantedContainer } from "../../shared/domain/rollout.ts";
import type { WorkloadId } from "../../shared/domain/workload.ts";
import type { Ledger } from "../../shared/ledger/ledger.ts";
import type { WorkloadDocument } from "../../shared/ledger/workload-document.ts";
import { ambiguous, matchAddress, unmatched } from "./address.ts";
import type { Answer } from "./command.ts";
import { readImage, repositoriesMeant } from "./image-name.ts";

/** A workload that a command line names; without a document Landfall has not met it yet. */
export interface NamedWorkload {
  readonly id: WorkloadId;
  readonly document?: WorkloadDocument;
}

/** The workload that an address, or a tail of it, stands for. One that is written whole need not be on record. */
export async function namedWorkload(
  asked: string,
  ledger: Pick<Ledger, "workloads">,
): Promise<NamedWorkload | Answer> {
  const all = (await ledger.workloads()).map(({ value }) => value);
  const ids = all.map(({ workload }) => workload);
  const match = matchAddress(asked, ids);
  if (match.kind !== "one") return isUnmet(asked, ids) ? { id: asked } : unmatched(asked, match);
  const document = all.find(({ workload }) => workload === match.id);
  return document === undefined ? unmatched(asked, { kind: "none" }) : { id: document.workload, document };
}

/** Whether it is the whole address of a workload that Landfall may not have met, and no slip of the pen. */
function isUnmet(asked: string, ids: readonly string[]): asked is WorkloadId {
  if (!/^[^/@:]+\/[^@:]+$/.test(asked)) return false;
  const target = asked.slice(0, asked.indexOf("/") + 1);
  const names = ids.filter((id) => id.startsWith(target)).map((id) => id.slice(target.length));
  return names.length > 0 && nearest(asked.slice(target.length), names) === undefined;
}

/** The repository that a name stands for, among those that workloads run. */
export function namedRepository(
  asked: string,
  documents: readonly WorkloadDocument[],
): { readonly repository: Repository; readonly tag?: string } | (Answer & { readonly text: string }) {
  const image = readImage(asked);
  if (image.kind === "invalid") return { kind: "usage", text: `\`${asked}\` is no image: ${image.reason}.` };
  const known = new Set(
    documents.flatMap((each) => Object.values(recorded(each)).map(({ repository }) => repository)),
  );
  const [repository, ...others] = repositoriesMeant(image, known);
  if (others.length > 0) return ambiguous(asked, [repository, ...others]);
  return { repository, ...(image.tag === undefined ? {} : { tag: image.tag }) };
}

/** What each container of a workload runs, as far as the ledger knows: what was put there, else what it ran before. */
export function recorded({
  wanted,
  deployed,
  lastGood,
  earlierGood = [],
  baseline,
}: WorkloadDocument): Wanted {
  const goods = [lastGood, ...earlierGood, baseline].filter((images) => images !== undefined);
  const names = new Set([wanted, ...goods].flatMap((each) => Object.keys(each)));
  return Object.fromEntries(
    [...names].flatMap((name) => {
      const known: readonly WantedContainer[] = [
        ...(wanted[name] === undefined ? [] : [wanted[name]]),
        ...goods.flatMap((images) => readWhole(images[name], wanted[name])),
      ];
      const digest = deployed?.[name];
      const found = known.find((each) => each.digest === digest) ?? known[0];
      return found === undefined ? [] : [[name, { ...found, digest: digest ?? found.digest }] as const];
    }),
  );
}

function readWhole(
  image: string | undefined,
  wanted: WantedContainer | undefined,
): readonly WantedContainer[] {
  const read = image === undefined ? undefined : parseReference(image);
  if (read?.kind !== "reference") return [];
  const { repository, tag, digest } = read.reference;
  if (tag === undefined || digest === undefined) return [];
  return [{ ...wanted, generation: wanted?.generation ?? 0, repository, tag, digest }];
}

/** How many rollouts of a workload are looked through for a digest. */
const readRollouts = 30;

/** Digests that the ledger has of a workload, those that it was brought away from included. */
export async function digestsOf(
  document: WorkloadDocument,
  ledger: Pick<Ledger, "rollouts">,
): Promise<readonly Digest[]> {
  const rollouts = await ledger.rollouts({ workload: document.workload }, readRollouts);
  const rolledOut = rollouts.flatMap(({ value }) => Object.values(value.to));
  return [...recordedDigests(document), ...rolledOut.map(({ digest }) => digest)];
}

function recordedDigests(document: WorkloadDocument): readonly Digest[] {
  const { lastGood = {}, earlierGood = [], baseline = {}, holds, open, wanted } = document;
  const images = [lastGood, ...earlierGood, baseline].flatMap((each) => Object.values(each));
  return [
    ...[...Object.values(wanted), ...Object.values(open?.to ?? {})].map(({ digest }) => digest),
    ...Object.values(document.deployed ?? {}),
    ...images.flatMap((image) => /@(sha256:[0-9a-f]{64})$/.exec(image)?.[1] ?? []).filter(isDigest),
    ...holds.map(({ digest }) => digest),
  ];
}

/** A digest as it is written on a command line: whole, or the first digits of one that is on record. */
export function namedDigest(
  text: string,
  known: Iterable<Digest>,
): { readonly digest: Digest } | (Answer & { readonly text: string }) {
  if (isDigest(text)) return { digest: text };
  const start = text.replace(/^sha256:/, "");
  if (!/^[0-9a-f]{6,63}$/.test(start)) {
    const form = "sha256: and 64 hex digits, or the first 6 or more of one that is on record";
    return { kind: "usage", text: `\`${text}\` is no digest: ${form}.` };
  }
  const [first, ...others] = [...new Set(known)].filter((digest) => digest.startsWith(`sha256:${start}`));
  if (first === undefined) {
    return {
      kind: "failed",
      text: `No digest that begins with \`${start}\` is on record of it: write it whole, sha256: and 64 hex digits.`,
    };
  }
  if (others.length > 0) return ambiguous(text, [first, ...others]);
  return { digest: first };
}
