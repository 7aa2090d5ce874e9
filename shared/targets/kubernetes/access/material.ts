import { TargetDeniedError } from "../../../errors.ts";

/** The headers for a token as files hold it, with or without a line end or `Bearer `. @throws TargetDeniedError */
export function bearer(token: string, where: string): { readonly authorization: string } {
  const text = token.trim().replace(/^Bearer\s+/i, "");
  // Anything else is no token but a page, a whole kubeconfig, a certificate: it may not even fit into a header.
  if (!/^[\w.~+/=:-]+$/.test(text)) {
    throw new TargetDeniedError(`${where} is no token${text === "" ? ": it is empty" : ""}`);
  }
  return { authorization: `Bearer ${text}` };
}

/** PEM with at least one block of a kind, e.g. `CERTIFICATE` or `PRIVATE KEY`. @throws TargetDeniedError */
export function pem(text: string, kind: string, where: string): string {
  if (new RegExp(`-----BEGIN [A-Z ]*${kind}-----`).test(text)) return text;
  const decoded = Buffer.from(text, "base64").toString("latin1");
  const advice = decoded.includes("-----BEGIN ") ? ": it is base64 of PEM; decode it first" : "";
  throw new TargetDeniedError(`${where} holds no PEM ${kind.toLowerCase()}${advice}`);
}
