import { randomBytes } from "node:crypto";
import type { Answer } from "./faults.ts";
import { type Call, failure, json, unsupported } from "./protocol.ts";

export type SandboxAuth =
  | { readonly kind: "basic"; readonly username: string; readonly password: string }
  | {
      readonly kind: "bearer";
      readonly username: string;
      readonly password: string;
      /** Whether tokens for pulling are given to anyone; pushing always needs the pair. */
      readonly anonymousPull?: boolean;
      /** Told to clients; tokens hold until `revokeTokens`. Absent: not told. */
      readonly expiresInS?: number;
    };

/** What a route needs: a repository's rights, or only to be known (`GET /v2/`). */
interface Needed {
  readonly repository: string | undefined;
  readonly actions: readonly string[];
}

type Admission =
  | { readonly kind: "allowed"; readonly actor: string }
  | { readonly kind: "refused"; readonly answer: Answer };

export interface Gate {
  admit(call: Call, needed: Needed): Admission;
  /** The answer of the token server, which a registry with bearer tokens has beside it. */
  token(call: Call): Answer | undefined;
  revokeTokens(): void;
}

const service = "sandbox-registry";

/** Asks for credentials as Distribution does with `htpasswd` and `token` authentication. */
export function gate(auth: SandboxAuth | undefined): Gate {
  /** Granted `repository action` pairs by token, and for whom. */
  const tokens = new Map<string, { actor: string; granted: ReadonlySet<string> }>();
  const expected =
    auth === undefined
      ? undefined
      : `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString("base64")}`;

  const admitByToken = (call: Call, needed: Needed): Admission => {
    const scope =
      needed.repository === undefined ? "" : `repository:${needed.repository}:${needed.actions.join(",")}`;
    const refuse = (error: string): Admission => {
      const parts = [
        `realm="http://${call.header("host")}/token"`,
        `service="${service}"`,
        ...(scope === "" ? [] : [`scope="${scope}"`]),
        ...(error === "" ? [] : [`error="${error}"`]),
      ];
      return { kind: "refused", answer: unauthorized(`Bearer ${parts.join(",")}`) };
    };
    const sent = call.header("authorization");
    if (sent === undefined) return refuse("");
    const known = tokens.get(sent.replace(/^Bearer /, ""));
    if (known === undefined) return refuse("invalid_token");
    const enough = needed.actions.every((action) => known.granted.has(`${needed.repository} ${action}`));
    return enough ? { kind: "allowed", actor: known.actor } : refuse("insufficient_scope");
  };

  return {
    admit(call, needed) {
      if (auth === undefined) return { kind: "allowed", actor: "" };
      if (auth.kind === "bearer") return admitByToken(call, needed);
      return call.header("authorization") === expected
        ? { kind: "allowed", actor: auth.username }
        : { kind: "refused", answer: unauthorized('Basic realm="sandbox"') };
    },

    token(call) {
      if (auth?.kind !== "bearer" || call.url.pathname !== "/token") return undefined;
      if (call.method !== "GET") return unsupported();
      const sent = call.header("authorization");
      if (sent !== undefined && sent !== expected) {
        return failure(401, "UNAUTHORIZED", "authentication required", null);
      }
      const known = sent !== undefined;
      if (!known && auth.anonymousPull !== true) {
        return failure(401, "UNAUTHORIZED", "authentication required", null);
      }
      // Less than was asked for is no error here: the registry refuses the token later.
      const granted = call.url.searchParams.getAll("scope").flatMap((scope) => {
        const [, repository, actions = ""] = /^repository:([^:]+):(.+)$/.exec(scope) ?? [];
        const wanted = actions.split(",");
        return (known ? wanted : wanted.filter((action) => action === "pull")).map(
          (action) => `${repository} ${action}`,
        );
      });
      const token = randomBytes(24).toString("base64url");
      tokens.set(token, { actor: known ? auth.username : "", granted: new Set(granted) });
      return json(200, { token, ...(auth.expiresInS === undefined ? {} : { expires_in: auth.expiresInS }) });
    },

    revokeTokens: () => tokens.clear(),
  };
}

function unauthorized(challenge: string): Answer {
  return failure(401, "UNAUTHORIZED", "authentication required", null, { "www-authenticate": challenge });
}
