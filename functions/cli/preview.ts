import { goodsOf, waysBack } from "../../shared/decide/aftermath.ts";
import type { Digest, Repository } from "../../shared/domain/reference.ts";
import type { Wanted } from "../../shared/domain/rollout.ts";
import type { WorkloadId } from "../../shared/domain/workload.ts";
import { type Ledger, refId } from "../../shared/ledger/ledger.ts";
import type { WorkloadDocument } from "../../shared/ledger/workload-document.ts";
import { recorded } from "./named.ts";
import { ago } from "./render/time.ts";
import { shortDigest, wantedText } from "./render/words.ts";

/** What an order would bring a workload to, as far as the ledger knows. */
export interface Change {
  readonly workload: WorkloadId;
  readonly from: Readonly<Record<string, Digest>>;
  /** Absent: that is found out when the order is taken. */
  readonly to?: Readonly<Record<string, Digest>>;
  readonly pin: "next" | "release";
}

export interface Previewed {
  readonly change: Change;
  readonly text: string;
  readonly isSo: boolean;
}

type Until = Change["pin"];

/** What a tag is known to point to: as the registry said last, or as a build of it did. */
export async function knownTag(
  ledger: Pick<Ledger, "get">,
  repository: Repository,
  tag: string,
): Promise<{ readonly digest: Digest; readonly atMs?: number } | undefined> {
  const ref = (await ledger.get("refs", refId(repository, tag)))?.value;
  if (ref?.digest !== undefined) {
    return { digest: ref.digest, ...(ref.observedMs === undefined ? {} : { atMs: ref.observedMs }) };
  }
  const image = (await ledger.get("images", repository))?.value;
  const promoted = image?.channels[tag];
  if (promoted?.promoted !== undefined) {
    const { promotedMs } = promoted;
    return { digest: promoted.promoted.digest, ...(promotedMs === undefined ? {} : { atMs: promotedMs }) };
  }
  const built = image?.builds.find((each) => each.tag === tag);
  if (built === undefined) return undefined;
  return { digest: built.digest, ...(built.heardMs === undefined ? {} : { atMs: built.heardMs }) };
}

/** What `deploy` would do to one workload. */
export function previewDeploy(
  document: WorkloadDocument,
  { repository, tag }: { readonly repository: Repository; readonly tag: string },
  known: Awaited<ReturnType<typeof knownTag>>,
  pin: Until,
  nowMs: number,
): Previewed {
  const running = entriesOf(recorded(document), (wanted) => wanted.repository === repository);
  const from = digestsBy(running);
  const { workload } = document;
  if (known === undefined) {
    return {
      change: { workload, from, pin },
      text: `${wantedText(running)} -> what ${tag} points to when the order is taken`,
      isSo: false,
    };
  }
  const to = Object.fromEntries(Object.keys(running).map((name) => [name, known.digest]));
  const isThere = Object.values(from).every((digest) => digest === known.digest);
  const seen = known.atMs === undefined ? "" : `, as seen ${ago(known.atMs, nowMs)}`;
  const says = isThere
    ? "runs that already"
    : `${wantedText(running)} -> ${tag}@${shortDigest(known.digest)}${seen}`;
  const isSo = isThere && document.open === undefined && document.pin?.until === pin;
  return { change: { workload, from, to, pin }, text: says, isSo };
}

/** What `rollback` would do; `undefined`: nothing is on record to go back to. */
export async function previewRollback(
  document: WorkloadDocument,
  ledger: Pick<Ledger, "get">,
  pin: Until,
): Promise<Previewed | undefined> {
  const { open, workload } = document;
  const running = { ...recorded(document), ...open?.to };
  const from = digestsBy(running);
  if (open?.cause.kind === "rollback") {
    const text = `rollout ${open.seq} brings it back to ${wantedText(open.to)} already`;
    return {
      change: { workload, from, to: digestsBy(open.to), pin },
      text,
      isSo: document.pin?.until === pin,
    };
  }
  const repositories = new Set(Object.values(running).map(({ repository }) => repository));
  const images = await Promise.all([...repositories].map((each) => ledger.get("images", each)));
  const everywhere = images.flatMap((image) => image?.value.holds ?? []);
  const [to] = waysBack(running, goodsOf(document, everywhere));
  if (to === undefined) return undefined;
  const text = `${wantedText(entriesOf(running, (_, name) => to[name] !== undefined))} -> ${wantedText(to)}`;
  return { change: { workload, from, to: digestsBy(to), pin }, text, isSo: false };
}

/** What `rollback --channel` would do to a workload that was brought back before. */
export function previewStay(document: WorkloadDocument, pin: Until): Previewed {
  const running = recorded(document);
  const from = digestsBy(running);
  const change = { workload: document.workload, from, to: from, pin };
  return { change, text: `stays at ${wantedText(running)}, where it was brought back to`, isSo: false };
}

/** Until when a pin holds, for a person. */
export function pinText(until: Until): string {
  return until === "release"
    ? "until `landfall release`: nothing else is deployed there before"
    : "until something newer than what is known now comes, or `landfall release`";
}

function entriesOf(wanted: Wanted, isMeant: (each: Wanted[string], name: string) => boolean): Wanted {
  return Object.fromEntries(Object.entries(wanted).filter(([name, each]) => isMeant(each, name)));
}

function digestsBy(wanted: Wanted): Readonly<Record<string, Digest>> {
  return Object.fromEntries(Object.entries(wanted).map(([name, { digest }]) => [name, digest]));
}
