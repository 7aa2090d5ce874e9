import { hash, timingSafeEqual } from "node:crypto";
import { sourceNames } from "../domain/push.ts";
import { type Headers, headerOf } from "./source.ts";

/** 128 bits: what a secret in a URL must have at least. */
const minSecretBytes = 16;

/**
 * What is wrong with a webhook secret, as a sentence that does not contain it; `undefined` when it can be used.
 * A source's name is refused because `/hooks/{secret}` could not be told from `/hooks/{source}`.
 */
export function secretProblem(value: string): string | undefined {
  if (value === "") return "is empty; an empty secret would admit nobody";
  if (sourceNames.some((name) => name === value)) return "is the name of a source; use a random text";
  if (Buffer.byteLength(value) < minSecretBytes) {
    return `is shorter than ${minSecretBytes} bytes; make one with \`openssl rand -hex 32\``;
  }
  return undefined;
}

/**
 * Compares in a time that depends on neither text's content: both are hashed first, so the lengths are equal. What is
 * not offered at all is not compared: its sender learns nothing.
 */
export function sameSecret(offered: string, secret: string): boolean {
  return offered !== "" && timingSafeEqual(sha256(offered), hashOf(secret));
}

/** Of configured secrets only: each delivery is compared with all of them. What is offered is never kept. */
const hashes = new Map<string, Buffer>();
const maxHashes = 64;

function hashOf(secret: string): Buffer {
  const known = hashes.get(secret);
  if (known !== undefined) return known;
  if (hashes.size >= maxHashes) hashes.clear();
  const made = sha256(secret);
  hashes.set(secret, made);
  return made;
}

/** The token of `Authorization: Bearer <token>`, empty when there is none. */
export function bearerToken(headers: Headers): string {
  return /^bearer +(\S.*)$/i.exec(headerOf(headers, "authorization") ?? "")?.[1] ?? "";
}

function sha256(text: string): Buffer {
  return hash("sha256", text, "buffer");
}
