import { createHmac, createSign, generateKeyPairSync } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CallerDeps, googleCerts, type KnownCaller, proveCaller } from "../functions/caller.ts";
import type { CallerProof } from "../shared/config/schema.ts";
import { type HttpAnswer, HttpError } from "../shared/http.ts";

const google = generateKeyPairSync("rsa", { modulusLength: 2048 });
const stranger = generateKeyPairSync("rsa", { modulusLength: 2048 });
const publicPem = google.publicKey.export({ type: "spki", format: "pem" }).toString();

// The library checks times on the machine's clock, so tokens are made around it.
const nowMs = Date.now();
const nowSeconds = Math.floor(nowMs / 1000);
const audience = "https://reconcile.example/reconcile";
const email = "scheduler@project.iam.gserviceaccount.com";
const oidc: CallerProof = { kind: "google-oidc", audience, email };
const bearer: CallerProof = { kind: "bearer", token: "${TOKEN}" };
const token = "a-shared-token-of-some-length";

const deps: CallerDeps = {
  now: () => nowMs,
  certs: async () => ({ k1: publicPem }),
  secret: () => () => token,
};

const goodClaims = {
  iss: "https://accounts.google.com",
  aud: audience,
  sub: "1234567890",
  email,
  email_verified: true,
  iat: nowSeconds - 10,
  exp: nowSeconds + 3600,
};

describe("a Google OIDC token", () => {
  it.each([["https://accounts.google.com"], ["accounts.google.com"]])(
    "proves its service account when issued by %s",
    async (iss) => {
      expect(await proveCaller(`Bearer ${signed({ ...goodClaims, iss })}`, [oidc], deps)).toEqual({
        kind: "proven",
        by: email,
      });
    },
  );

  const without = (claim: keyof typeof goodClaims) =>
    Object.fromEntries(Object.entries(goodClaims).filter(([name]) => name !== claim));

  it.each([
    ["an issuer that is not Google", { ...goodClaims, iss: "https://accounts.evil.example" }, "wrong-issuer"],
    [
      "an issuer that starts like Google",
      { ...goodClaims, iss: "https://accounts.google.com.evil" },
      "wrong-issuer",
    ],
    ["no issuer", without("iss"), "wrong-issuer"],
    ["another audience", { ...goodClaims, aud: "https://other.example" }, "wrong-audience"],
    ["an audience that starts like ours", { ...goodClaims, aud: `${audience}/x` }, "wrong-audience"],
    ["a list that holds our audience", { ...goodClaims, aud: [audience] }, "wrong-audience"],
    ["no audience", without("aud"), "wrong-audience"],
    ["a time of expiry that has passed", { ...goodClaims, exp: nowSeconds - 3600 }, "expired"],
    ["no time of expiry", without("exp"), "expired"],
    ["a time of expiry that is text", { ...goodClaims, exp: String(nowSeconds + 3600) }, "expired"],
    ["a time of issue in the future", { ...goodClaims, iat: nowSeconds + 1800 }, "not-yet-valid"],
    ["no time of issue", without("iat"), "not-yet-valid"],
    ["a time before which it does not hold", { ...goodClaims, nbf: nowSeconds + 1800 }, "not-yet-valid"],
    ["another account", { ...goodClaims, email: "someone@project.iam.gserviceaccount.com" }, "wrong-email"],
    ["no account", without("email"), "wrong-email"],
    ["an account that is not verified", { ...goodClaims, email_verified: false }, "email-not-verified"],
    ["an account verified as text", { ...goodClaims, email_verified: "true" }, "email-not-verified"],
    ["an account of unknown verification", without("email_verified"), "email-not-verified"],
  ])("is refused with %s", async (_name, claims, why) => {
    expect(await proveCaller(`Bearer ${signed(claims)}`, [oidc], deps)).toEqual({ kind: "refused", why });
  });

  it.each([
    ["another key's signature", signed(goodClaims, { key: stranger.privateKey }), "bad-signature"],
    [
      "claims changed after signing",
      swapClaims(signed(goodClaims), { ...goodClaims, sub: "other" }),
      "bad-signature",
    ],
    ["no signature", `${signed(goodClaims).split(".").slice(0, 2).join(".")}.`, "bad-signature"],
    ["alg none", unsigned(goodClaims), "wrong-algorithm"],
    ["HS256 with the public key as secret", hs256(goodClaims), "wrong-algorithm"],
    ["alg RS512", signed(goodClaims, { alg: "RS512" }), "wrong-algorithm"],
    ["a key id that Google does not have", signed(goodClaims, { kid: "k2" }), "unknown-key"],
    ["a key id that every object has", signed(goodClaims, { kid: "constructor" }), "unknown-key"],
    ["no key id", signed(goodClaims, { kid: null }), "unknown-key"],
    ["two parts", "e30.e30", "malformed-token"],
    ["parts that are no JSON", "a.b.c", "malformed-token"],
    ["claims that are a list", `${part({ alg: "RS256", kid: "k1" })}.${part([1])}.x`, "malformed-token"],
  ])("is refused with %s", async (_name, jwt, why) => {
    expect(await proveCaller(`Bearer ${jwt}`, [oidc], deps)).toEqual({ kind: "refused", why });
  });

  it("expires on the clock it is judged by", async () => {
    const late = { ...deps, now: () => nowMs + 2 * 3_600_000 };
    expect(await proveCaller(`Bearer ${signed(goodClaims)}`, [oidc], late)).toEqual({
      kind: "refused",
      why: "expired",
    });
  });

  it("is refused while Google's keys cannot be had", async () => {
    const cut = { ...deps, certs: () => Promise.reject(new HttpError("deadline", true, "no answer")) };
    expect(await proveCaller(`Bearer ${signed(goodClaims)}`, [oidc], cut)).toEqual({
      kind: "refused",
      why: "keys-unavailable",
    });
  });

  it("costs no request for keys when it is not signed as Google signs", async () => {
    const certs = () => Promise.reject(new Error("asked for keys"));
    expect(await proveCaller(`Bearer ${unsigned(goodClaims)}`, [oidc], { ...deps, certs })).toEqual({
      kind: "refused",
      why: "wrong-algorithm",
    });
  });

  it("proves the second of two accounts", async () => {
    const other: CallerProof = { ...oidc, email: "other@project.iam.gserviceaccount.com" };
    expect(await proveCaller(`Bearer ${signed(goodClaims)}`, [other, bearer, oidc], deps)).toEqual({
      kind: "proven",
      by: email,
    });
  });
});

describe("a bearer token", () => {
  it.each<[by: string, caller: KnownCaller]>([
    ["bearer token TOKEN", bearer],
    ["bearer token /secrets/reconcile/value", { kind: "bearer", token: "${file:/secrets/reconcile/value}" }],
    ["bearer token", { kind: "bearer", token: "${A}${B}" }],
    ["bearer token", { kind: "bearer", token }],
    ["timer", { kind: "bearer", token, by: "timer" }],
  ])("proves its caller: %s", async (by, caller) => {
    expect(await proveCaller(`Bearer ${token}`, [caller], deps)).toEqual({ kind: "proven", by });
    expect(await proveCaller(`bearer ${token}`, [oidc, bearer], deps)).toMatchObject({ kind: "proven" });
  });

  it.each([
    ["another token", `Bearer ${"b".repeat(token.length)}`, "wrong-token"],
    ["the beginning of the token", `Bearer ${token.slice(0, -1)}`, "wrong-token"],
    ["more than the token", `Bearer ${token}x`, "wrong-token"],
    ["other letter case", `Bearer ${token.toUpperCase()}`, "wrong-token"],
    ["nothing after the scheme", "Bearer ", "no-token"],
    ["two tokens", `Bearer ${token} ${token}`, "no-token"],
    ["another scheme", `Basic ${token}`, "no-token"],
    ["no scheme", token, "no-token"],
    ["the scheme's beginning", `Bear ${token}`, "no-token"],
    ["an empty header", "", "no-token"],
    ["no header", undefined, "no-token"],
    ["a token of 9,000 characters", `Bearer ${"a".repeat(9_000)}`, "no-token"],
  ])("is refused with %s", async (_name, header, why) => {
    expect(await proveCaller(header, [bearer], deps)).toEqual({ kind: "refused", why });
  });

  it("that is configured empty proves nobody", async () => {
    const verdicts = await Promise.all(
      ["Bearer ", "Bearer x", undefined].map((header) =>
        proveCaller(header, [bearer], { ...deps, secret: () => () => "" }),
      ),
    );
    expect(verdicts.every(({ kind }) => kind === "refused")).toBe(true);
  });
});

describe("without configured proofs", () => {
  it("nobody is believed", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.option(fc.oneof(fc.string(), fc.constant(`Bearer ${token}`), fc.constant("Bearer undefined"))),
        async (header) => {
          expect(await proveCaller(header ?? undefined, [], deps)).toEqual({
            kind: "refused",
            why: "nobody-allowed",
          });
        },
      ),
    );
  });
});

describe("Google's keys", () => {
  const answer = (cacheControl?: string): HttpAnswer => ({
    status: 200,
    headers: { "cache-control": cacheControl },
    body: Buffer.from(JSON.stringify({ k1: publicPem })),
  });

  function fetched(answers: readonly (HttpAnswer | Error)[]) {
    const asked: string[] = [];
    let monotonicMs = 0;
    const pass = (ms: number) => {
      monotonicMs += ms;
    };
    const certs = googleCerts(
      {
        request: async ({ url }) => {
          const next = answers[asked.push(url) - 1];
          if (next === undefined || next instanceof Error) throw next ?? new Error("asked too often");
          return next;
        },
      },
      { monotonic: () => monotonicMs },
    );
    return { certs, asked, pass };
  }

  it("are asked for once while they hold, by callers at the same time too", async () => {
    const { certs, asked, pass } = fetched([answer("public, max-age=600")]);
    expect(await Promise.all([certs(), certs()])).toEqual([{ k1: publicPem }, { k1: publicPem }]);
    pass(599_000);
    await certs();
    expect(asked).toEqual(["https://www.googleapis.com/oauth2/v1/certs"]);
  });

  it("are asked for again when their time is over", async () => {
    const { certs, asked, pass } = fetched([answer("max-age=600"), answer()]);
    await certs();
    pass(600_000);
    await certs();
    pass(59_000);
    await certs();
    expect(asked).toHaveLength(2);
  });

  it.each([
    ["an error", new HttpError("unreachable", false, "refused")],
    ["status 500", { ...answer(), status: 500 }],
    ["no JSON", { ...answer(), body: Buffer.from("<html>") }],
    ["JSON of another shape", { ...answer(), body: Buffer.from('{"keys":[]}') }],
  ])("that were answered with %s are not kept", async (_name, bad) => {
    const { certs } = fetched([bad, answer()]);
    await expect(certs()).rejects.toThrow();
    expect(await certs()).toEqual({ k1: publicPem });
  });
});

function part(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function signed(
  claims: object,
  {
    kid = "k1",
    alg = "RS256",
    key = google.privateKey,
  }: { kid?: string | null; alg?: string; key?: typeof google.privateKey } = {},
): string {
  const text = `${part({ alg, typ: "JWT", kid })}.${part(claims)}`;
  const algorithm = alg === "RS512" ? "RSA-SHA512" : "RSA-SHA256";
  return `${text}.${createSign(algorithm).update(text).sign(key).toString("base64url")}`;
}

function unsigned(claims: object): string {
  return `${part({ alg: "none", typ: "JWT", kid: "k1" })}.${part(claims)}.`;
}

function hs256(claims: object): string {
  const text = `${part({ alg: "HS256", typ: "JWT", kid: "k1" })}.${part(claims)}`;
  return `${text}.${createHmac("sha256", publicPem).update(text).digest("base64url")}`;
}

function swapClaims(jwt: string, claims: object): string {
  const [header, , signature] = jwt.split(".");
  return `${header}.${part(claims)}.${signature}`;
}
