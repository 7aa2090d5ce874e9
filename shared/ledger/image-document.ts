import type { Commit } from "../domain/commit.ts";
import type { Digest, Repository } from "../domain/reference.ts";
import type { Hold } from "./ledger.ts";

/** An image that CI built from a commit. */
export interface Built {
  /** Absent for what somebody put there whom no build is known of. */
  readonly commit?: Commit;
  /** The tag that CI gave it, mostly the commit. */
  readonly tag: string;
  readonly digest: Digest;
  /** When its event was heard, ms. */
  readonly heardMs?: number;
  /** Id of the event that brought it. */
  readonly event: string;
  /** Who asked for it, where a person did. */
  readonly by?: string;
}

/** The newest accepted commit of an image. */
export interface Head extends Built {
  readonly commit: Commit;
  /** Raised by one with each head: the allocator of order among plans of workloads that follow commits. */
  readonly generation: number;
  readonly acceptedMs: number;
}

/** What is to be promoted, where a channel does not follow the head by itself. */
export interface Asked extends Built {
  /** Generation of the head that it belongs to: only a newer one moves the channel on. Absent: that of the head now. */
  readonly head?: number;
}

/** A promotion that is under way: recorded before the registry is written to. */
export interface Intent {
  /** What the tag pointed to when it was recorded; absent: the tag was not there. */
  readonly from?: Digest;
  readonly to: Built;
  /** Generation of the head that it brings there, or that was there when a person asked for it. */
  readonly head: number;
  /** Who writes to the registry, and until when that is believed (ledger's clock). */
  readonly lease: { readonly holder: string; readonly untilMs: number };
}

/** A tag that Landfall owns. */
export interface Channel {
  /** What it points to, as far as Landfall has put it there. */
  readonly promoted?: Built;
  readonly promotedMs?: number;
  /** Raised by one with each promotion: the allocator of order among plans of workloads on the channel. */
  readonly generation: number;
  /** Generation of the head that was promoted last, or that a person's order was given under: only a newer one moves it on. */
  readonly head: number;
  readonly intent?: Intent;
  /** Digests of earlier intents that never got a result: a write of each may still arrive, and is overwritten once. */
  readonly unsettled: readonly Digest[];
  /** When the tag is looked at once more, ms: whether a late write or somebody else has moved it. */
  readonly checkMs?: number;
  /** Somebody else moved it to this digest; absent `found`: deleted it. Landfall leaves it until a person decides. */
  readonly conflict?: { readonly found?: Digest; readonly sinceMs: number };
  /** What it is to have, where it does not follow the head by itself. */
  readonly asked?: Asked;
  /** The promotion whose workloads all have their plan. */
  readonly planned: number;
  /**
   * What the channel before it proved: since when every workload there ran `digest` and was well, how many of their tasks
   * had ended by themselves until then, or why it was stopped.
   */
  readonly soak?: {
    readonly digest: Digest;
    readonly sinceMs?: number;
    readonly lost?: number;
    readonly stopped?: string;
  };
  /** What could not be done, for a person, and how often in a row; until when the registry asked to be left alone, ms. */
  readonly trouble?: {
    readonly reason: string;
    readonly detail: string;
    readonly times: number;
    readonly untilMs?: number;
  };
}

/** What Landfall knows of the builds of an image. Id: the repository. */
export interface ImageDocument {
  readonly repository: Repository;
  readonly head?: Head;
  /** Generation of the head whose workloads all have their plan. */
  readonly planned: number;
  readonly channels: Readonly<Record<string, Channel>>;
  /**
   * Workloads that could not be planned for: how often in a row, and when to try again, ms. `under`: the generations of
   * head and channels together that were to be planned; for newer ones it does not count.
   */
  readonly delay?: { readonly under: number; readonly times: number; readonly untilMs: number };
  /** Images whose commit is known, newest first, at most 100. */
  readonly builds: readonly Built[];
  /** A freeze ends then, ms: what its targets missed is planned anew. */
  readonly frozenMs?: number;
  /** Its workloads were kept from a digest, and may be behind: when they are looked at once more, ms. */
  readonly relookMs?: number;
  /** Digests that a person holds for every workload. */
  readonly holds?: readonly Hold[];
  readonly dueMs?: number;
}
