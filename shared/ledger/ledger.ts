import type { ImageBuild } from "../domain/build.ts";
import type { FullRunRequest } from "../domain/full-run.ts";
import type { Order } from "../domain/order.ts";
import { type ImagePush, repositoryOf } from "../domain/push.ts";
import type { Digest, Repository } from "../domain/reference.ts";
import type { Rollout } from "../domain/rollout.ts";
import type { WorkloadId } from "../domain/workload.ts";
import type { ImageDocument } from "./image-document.ts";
import type { LetterDocument, NoticeDocument } from "./notice-document.ts";
import type { LeaseDocument, ReportDocument } from "./report-document.ts";
import type { WorkloadDocument } from "./workload-document.ts";

export type { Hold, Left, OpenRollout, Pin, VerifyMemory, WorkloadDocument } from "./workload-document.ts";

/** What Landfall knows of `repository:tag`. Id: `repository:tag`. */
export interface RefDocument {
  readonly repository: Repository;
  readonly tag: string;
  readonly digest?: Digest;
  /** Raised by one with every change of `digest`: the only allocator of order among plans. */
  readonly generation: number;
  readonly observedMs?: number;
  /** Digests the tag had before, newest first, at most 20. */
  readonly earlier: readonly Digest[];
  /** Somebody heard of a push while the holder's HEAD was under way: HEAD once more before letting go. */
  readonly dirty: boolean;
  /** Who is asking the registry right now, and until when that is believed. */
  readonly holder?: { readonly id: string; readonly untilMs: number };
  /**
   * When the sweep should look, if nobody has finished by then: from the moment that somebody relies on the holder (a
   * dirty mark) until the ref is let go. Before that, the holder's own message comes back.
   */
  readonly dueMs?: number;
}

/** What was decided for one workload. Skips name their reason. */
export interface Verdict {
  readonly workload: WorkloadId;
  readonly kind: "planned" | "joined" | "skipped" | "waiting";
  /** For a skip the reason's stable name, e.g. `already-running`. */
  readonly reason?: string;
  readonly detail?: string;
  readonly seq?: number;
}

export type EventState = "received" | "waiting" | "done";

/** What was heard and what came of it. Id: the event's id. One of `push`, `build`, `promote` and `order`; none for an undecodable message. */
export interface EventDocument {
  readonly state: EventState;
  readonly push?: ImagePush;
  readonly build?: ImageBuild;
  readonly order?: Order;
  /** A full run that somebody asked for. */
  readonly reconcile?: FullRunRequest;
  /** The id of its report. */
  readonly report?: string;
  /** Who gave the order. */
  readonly by?: string;
  /** A person's decision about a channel. */
  readonly promote?: {
    readonly image: Repository;
    readonly channel: string;
    readonly how: "move" | "adopt" | "restore";
    readonly by: string;
  };
  readonly heardMs: number;
  /** Stable name of what came of it as a whole, e.g. `observed`, `joined`, `not-followed`, `registry-unavailable`. */
  readonly outcome?: string;
  /** A sentence for a person. */
  readonly detail?: string;
  /** The registry moved the tag to where no sender says that it was pushed. */
  readonly unexplained?: true;
  readonly digest?: Digest;
  readonly generation?: number;
  readonly observedMs?: number;
  readonly verdicts: readonly Verdict[];
  /** Verdicts beyond the 200 that are kept. */
  readonly more: number;
  /** How often the registry was asked again for this event. */
  readonly looks: number;
  /** How often in a row a build has waited for what `outcome` names; absent: it does not wait. */
  readonly tries?: number;
  readonly dueMs?: number;
  /** Readers ignore the event after this time; the store may delete it. */
  readonly expireMs: number;
}

export interface Documents {
  readonly refs: RefDocument;
  readonly images: ImageDocument;
  readonly workloads: WorkloadDocument;
  readonly rollouts: Rollout;
  readonly events: EventDocument;
  readonly reports: ReportDocument;
  readonly leases: LeaseDocument;
  readonly notices: NoticeDocument;
  readonly letters: LetterDocument;
}
export type Collection = keyof Documents;

/** A document with what its last write left: `rev` counts writes from 1, `writer` names who made the last one. */
export interface Stored<C extends Collection> {
  readonly id: string;
  readonly rev: number;
  readonly writer: string;
  readonly value: Documents[C];
}

/** `expect`: the `rev` that must be stored now, 0 for a document that must not exist. */
export type Write = {
  [C in Collection]: {
    readonly collection: C;
    readonly id: string;
    readonly value: Documents[C];
    readonly expect: number;
  };
}[Collection];

/** A document that a commit does not write, and that must be at this `rev` for it to happen. */
export interface Check {
  readonly collection: Collection;
  readonly id: string;
  readonly expect: number;
}

export type CommitOutcome =
  | { readonly kind: "committed" }
  | { readonly kind: "conflict"; readonly collection: Collection; readonly id: string };

/** Unfinished work whose time has come. */
export type Due = {
  [C in DueCollection]: { readonly collection: C; readonly document: Stored<C> };
}[DueCollection];
type DueCollection = Exclude<Collection, "rollouts" | "reports" | "leases">;

/**
 * The ledger: documents with compare-and-set. Ids are any text; an adapter encodes them as its store needs.
 *
 * Every method throws `LedgerUnavailableError` (retryable) when the store does not answer; after one from `commit`
 * it is unknown whether the writes took effect: commit the same again under the same `writer`, and on a conflict
 * read the document to see whose write it was.
 */
export interface Ledger {
  get<C extends Collection>(collection: C, id: string): Promise<Stored<C> | undefined>;
  /**
   * Writes all documents or none. Each becomes `rev = expect + 1` under `writer`; what is only checked stays as it is.
   * @throws DocumentTooLargeError when a document would exceed `maxDocumentBytes`
   */
  commit(writer: string, writes: readonly Write[], checks?: readonly Check[]): Promise<CommitOutcome>;
  /** Refs, images, workloads, events, notices and letters whose `dueMs` (a workload's is its open rollout's, where it has one) is at most `nowMs`, soonest first. */
  due(nowMs: number, limit: number): Promise<readonly Due[]>;
  /** How many workloads of the target have an open rollout in `applying` or `verifying`. */
  underWay(target: string): Promise<number>;
  /** Workloads of the target whose open rollout is `planned`, planned first first. */
  planned(target: string, limit: number): Promise<readonly Stored<"workloads">[]>;
  /** For reading people: images by id. */
  images(): Promise<readonly Stored<"images">[]>;
  /** For reading people: workloads by id. */
  workloads(): Promise<readonly Stored<"workloads">[]>;
  /**
   * A page of a target's workloads, in an order of the store's own: as many are few enough to be in memory.
   * @param after the last id of the page before; absent: the first page
   */
  workloadsOf(
    target: string,
    page: { readonly after?: string; readonly limit: number },
  ): Promise<readonly Stored<"workloads">[]>;
  /** Rollouts of one workload or of all, newest (`times.planned`) first. */
  rollouts(filter: { readonly workload?: WorkloadId }, limit: number): Promise<readonly Stored<"rollouts">[]>;
  /** Events of one repository and tag or of all, heard last first, expired ones left out. */
  events(
    filter: { readonly repository?: Repository; readonly tag?: string; readonly nowMs: number },
    limit: number,
  ): Promise<readonly Stored<"events">[]>;
  /** The ledger's clock, ms since the epoch: leases and due times are on it. */
  clock(): Promise<number>;
  close(): Promise<void>;
}

/** Largest document that every ledger takes, bytes of JSON. Firestore's own 1 MiB counts names and queried fields too. */
export const maxDocumentBytes = 1_000_000;

export function refId(repository: Repository, tag: string): string {
  return `${repository}:${tag}`;
}

export function rolloutId(workload: WorkloadId, seq: number): string {
  return `${workload}/${seq}`;
}

/** What an event is about: its image and, where it names one, the tag. `undefined` for an undecodable message. */
export function imageOf({
  push,
  build,
  promote,
  order,
}: Pick<EventDocument, "push" | "build" | "promote" | "order">):
  | { readonly repository: Repository; readonly tag: string | undefined }
  | undefined {
  if (push !== undefined) return { repository: repositoryOf(push), tag: push.tag };
  if (build !== undefined) return { repository: build.image, tag: build.tag };
  if (promote !== undefined) return { repository: promote.image, tag: promote.channel };
  if (order === undefined || !("image" in order) || order.image === undefined) return undefined;
  return { repository: order.image, tag: "tag" in order ? order.tag : undefined };
}
