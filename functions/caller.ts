import { createHash, timingSafeEqual } from "node:crypto";
import * as z from "zod/mini";
import type { Clock } from "../shared/clock.ts";
import type { CallerProof } from "../shared/config/schema.ts";
import { type HttpClient, HttpError, headerOf } from "../shared/http.ts";
import type { ResolveSecret } from "../shared/secret.ts";

/**
 * Why a caller is not believed, from what is known least to what was nearly enough. For the log: the caller itself
 * learns only that it was refused.
 */
const refusals = [
  "nobody-allowed",
  "no-token",
  "malformed-token",
  "wrong-token",
  "wrong-algorithm",
  "keys-unavailable",
  "unknown-key",
  "bad-signature",
  "wrong-issuer",
  "wrong-audience",
  "not-yet-valid",
  "expired",
  "wrong-email",
  "email-not-verified",
] as const;
type Refusal = (typeof refusals)[number];

export type CallerVerdict =
  /** `by`: the service account's address, or `bearer token NAME` with the variable or file that holds it. */
  | { readonly kind: "proven"; readonly by: string }
  /** `keys-unavailable` is no fault of the caller: 503, so that it calls again. All others are 401. */
  | { readonly kind: "refused"; readonly why: Refusal };

export interface CallerDeps {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Google's public keys or certificates, PEM by key id; `googleCerts` in production. */
  readonly certs: () => Promise<Readonly<Record<string, string>>>;
  readonly secret: ResolveSecret;
}

/** Somebody who may call. */
export type KnownCaller = CallerProof & {
  /** Whom it stands for, where that is known better than the proof tells. */
  readonly by?: string;
};

type OidcProof = CallerProof & { readonly kind: "google-oidc" };
type Claims = Readonly<Record<string, unknown>>;

/** PEM certificates by key id. */
const certsUrl = "https://www.googleapis.com/oauth2/v1/certs";
const googleIssuers = ["accounts.google.com", "https://accounts.google.com"];
/** Longer than any token of Google's; what is longer is not looked at. */
const maxTokenLength = 8192;
const clockSkewSeconds = 60;

/**
 * Whether an `Authorization` header proves one of the configured callers. Without configured proofs nobody is
 * believed.
 * @throws ConfigError when the secret of a bearer token cannot be resolved
 */
export async function proveCaller(
  authorization: string | undefined,
  auth: readonly KnownCaller[],
  deps: CallerDeps,
): Promise<CallerVerdict> {
  if (auth.length === 0) return refused("nobody-allowed");
  const token = /^Bearer +([^\s]+)$/i.exec(authorization ?? "")?.[1];
  if (token === undefined || token.length > maxTokenLength) return refused("no-token");
  let nearest: Refusal = "no-token";
  for (const proof of auth) {
    const verdict = await prove(token, proof, deps);
    if (verdict.kind === "proven") return verdict;
    if (refusals.indexOf(verdict.why) > refusals.indexOf(nearest)) nearest = verdict.why;
  }
  return refused(nearest);
}

/**
 * Google's signing keys, asked for at the first use and kept as long as Google says, between a minute and a day.
 * Calls at the same time share one request.
 */
export function googleCerts(
  http: Pick<HttpClient, "request">,
  clock: Pick<Clock, "monotonic">,
): CallerDeps["certs"] {
  let kept: { readonly certs: Promise<Readonly<Record<string, string>>>; untilMs: number } | undefined;
  const ask = async () => {
    const answer = await http.request({
      method: "GET",
      url: certsUrl,
      deadlineMs: 5_000,
      maxBytes: 64 * 1024,
    });
    if (answer.status !== 200) throw new HttpError("broken", true, `Google's keys: status ${answer.status}`);
    const certs = z.record(z.string(), z.string()).parse(JSON.parse(answer.body.toString("utf8")));
    const seconds = Number(/max-age=(\d+)/.exec(headerOf(answer, "cache-control") ?? "")?.[1] ?? 0);
    return { certs, keepMs: Math.min(Math.max(seconds, 60), 86_400) * 1000 };
  };
  return () => {
    if (kept !== undefined && clock.monotonic() < kept.untilMs) return kept.certs;
    const asked = ask();
    const entry = { certs: asked.then(({ certs }) => certs), untilMs: Number.POSITIVE_INFINITY };
    kept = entry;
    asked.then(
      ({ keepMs }) => {
        entry.untilMs = clock.monotonic() + keepMs;
      },
      () => {
        if (kept === entry) kept = undefined;
      },
    );
    return entry.certs;
  };
}

async function prove(token: string, proof: KnownCaller, deps: CallerDeps): Promise<CallerVerdict> {
  switch (proof.kind) {
    case "bearer":
      return same(token, deps.secret(proof.token)())
        ? { kind: "proven", by: proof.by ?? bearerName(proof.token) }
        : refused("wrong-token");
    case "google-oidc":
      return proveGoogle(token, proof, deps);
    default:
      return proof satisfies never;
  }
}

/** By where the token is kept; one that the configuration holds itself has no name. */
function bearerName(template: string): string {
  const place = /^\$\{(?:file:)?([^{}]+)\}$/.exec(template)?.[1];
  return place === undefined ? "bearer token" : `bearer token ${place}`;
}

async function proveGoogle(token: string, proof: OidcProof, deps: CallerDeps): Promise<CallerVerdict> {
  const parts = token.split(".");
  const header = jsonOf(parts[0]);
  const claims = jsonOf(parts[1]);
  if (parts.length !== 3 || header === undefined || claims === undefined) return refused("malformed-token");
  // Before any key is looked at: with `none` there is nothing to check, with HS256 the public key would be the secret.
  if (header.alg !== "RS256") return refused("wrong-algorithm");
  let certs: Readonly<Record<string, string>>;
  try {
    certs = await deps.certs();
  } catch {
    return refused("keys-unavailable");
  }
  if (typeof header.kid !== "string" || !Object.hasOwn(certs, header.kid)) return refused("unknown-key");
  const { verifyGoogleToken } = await import("./google-token.ts");
  try {
    // The library's own errors quote the token: none of them may leave this function.
    await verifyGoogleToken(token, certs, proof.audience, googleIssuers);
  } catch {
    return refused(wrongClaim(claims, proof, deps.now()) ?? "bad-signature");
  }
  const wrong = wrongClaim(claims, proof, deps.now());
  return wrong === undefined ? { kind: "proven", by: proof.email } : refused(wrong);
}

function wrongClaim(claims: Claims, proof: OidcProof, nowMs: number): Refusal | undefined {
  const now = nowMs / 1000;
  const { iss, aud, exp, iat, nbf, email, email_verified: verified } = claims;
  if (typeof iss !== "string" || !googleIssuers.includes(iss)) return "wrong-issuer";
  if (aud !== proof.audience) return "wrong-audience";
  if (typeof iat !== "number" || iat > now + clockSkewSeconds) return "not-yet-valid";
  if (nbf !== undefined && (typeof nbf !== "number" || nbf > now + clockSkewSeconds)) return "not-yet-valid";
  if (typeof exp !== "number" || exp <= now - clockSkewSeconds) return "expired";
  if (email !== proof.email) return "wrong-email";
  return verified === true ? undefined : "email-not-verified";
}

function jsonOf(part: string | undefined): Claims | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part ?? "", "base64url").toString("utf8"));
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Claims)
      : undefined;
  } catch {
    return undefined;
  }
}

/** Constant time, over hashes of equal length. An empty secret equals nothing. */
function same(offered: string, secret: string): boolean {
  return timingSafeEqual(sha256(offered), sha256(secret)) && secret !== "";
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function refused(why: Refusal): CallerVerdict {
  return { kind: "refused", why };
}
