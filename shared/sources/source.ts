import type { Classification, sourceNames } from "../domain/push.ts";

export type SourceName = (typeof sourceNames)[number];

/** Names in lower case, as Node gives them. */
export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

/** What a delivery can prove itself with, besides a secret in its path. `bytes` is the body as it was received. */
export interface SignedDelivery {
  readonly headers: Headers;
  readonly bytes: Uint8Array;
}

export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * One kind of sender: pure, from bytes to a verdict and from JSON to pushes.
 * Nothing here calls anybody, and no address that a payload names is ever contacted.
 */
export interface Source {
  readonly name: SourceName;
  /** Whether a delivery can prove itself by its headers; if not, the secret in its path is the only proof. */
  readonly signs: boolean;
  /**
   * Whether the headers prove knowledge of `secret`, compared in constant time. `secret` is never empty; a secret
   * in the path is not looked at.
   */
  authenticate(delivery: SignedDelivery, secret: string): boolean;
  /** What an authentic delivery asks for. Unknown fields are ignored, so that a sender may add some. */
  classify(headers: Headers, body: JsonObject): Classification;
}

/** A header's value, the first one if it was sent several times. */
export function headerOf(headers: Headers, name: string): string | undefined {
  const value = headers[name];
  return typeof value === "string" ? value : value?.[0];
}
