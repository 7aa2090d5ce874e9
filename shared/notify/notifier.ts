import type { Clock } from "../clock.ts";
import type { Notice, NoticeKind } from "../domain/notice.ts";
import type { HttpClient, HttpOptions } from "../http.ts";
import type { ResolveSecret } from "../secret.ts";

/** One message: notices of one kind that belong together. */
export interface Letter {
  /** The same at every attempt: whoever gets it twice can tell. Letters, digits and `-`. */
  readonly message: string;
  readonly kind: NoticeKind;
  /** The event that all of them share. */
  readonly event?: string;
  /** At least one. */
  readonly notices: readonly Notice[];
  /** Notices beyond those. */
  readonly more: number;
}

export type Delivered =
  | { readonly kind: "taken" }
  /** It may be taken later. `reason` holds no address, no secret and nothing that the other side sent. */
  | { readonly kind: "failed"; readonly reason: string; readonly retryAfterMs?: number }
  /** The other side wants no more of it. */
  | { readonly kind: "refused"; readonly reason: string };

/** Whom people are told by. */
export interface Notifier {
  /**
   * Sends a letter once, within `deadlineMs`. One that was taken, while the answer got lost, is sent again.
   * @throws ConfigError when a secret is missing; nothing else
   */
  send(letter: Letter): Promise<Delivered>;
  close(): Promise<void>;
}

/** How long one attempt may take. */
export const deadlineMs = 10_000;

/** One entry of `notify` of the configuration. Texts that may hold secrets are still templates. */
export type NotifierEntry =
  | { readonly kind: "slack"; readonly url: string }
  | { readonly kind: "webhook"; readonly url: string; readonly secret: string };
export type EntryOf<K extends NotifierEntry["kind"]> = Extract<NotifierEntry, { readonly kind: K }>;

/** What a notifier is made with, beyond its entry of the configuration. */
export interface NotifierContext {
  readonly secret: ResolveSecret;
  readonly clock: Clock;
  /** Makes the client that it is called with; default `httpClient`. */
  readonly connect?: (options: HttpOptions) => HttpClient;
}
