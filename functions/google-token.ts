import { OAuth2Client } from "google-auth-library";

/**
 * Checks signature, audience, issuer and times of a Google-signed OIDC token. In a file of its own so that the library
 * can be loaded late.
 * @param certs public keys or certificates, PEM by key id
 * @throws Error, whose message may quote the token
 */
export async function verifyGoogleToken(
  token: string,
  certs: Readonly<Record<string, string>>,
  audience: string,
  issuers: readonly string[],
): Promise<void> {
  await new OAuth2Client().verifySignedJwtWithCertsAsync(token, { ...certs }, audience, [...issuers]);
}
