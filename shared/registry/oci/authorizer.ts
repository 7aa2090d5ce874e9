import { RegistryDeniedError, RegistryResponseError } from "../../errors.ts";
import type { HttpAnswer } from "../../http.ts";
import { readJson } from "../../json.ts";
import { Lru } from "../../lru.ts";
import type { Challenge } from "./challenge.ts";
import { namedUrl, type Reach } from "./host.ts";
import { TokenAnswer } from "./schema.ts";

/** What a call needs a right for. */
export interface Access {
  /** Path of the repository without its host. */
  readonly path: string;
  readonly actions: "pull" | "pull,push";
}

/** An Authorization header, and what it came from. */
export interface Authorization {
  readonly header: string;
  readonly grant: Grant | "basic";
}

/** What a token is asked for: the address of the token server, service and scopes in it. */
interface Grant {
  readonly ask: string;
  readonly account: string;
}

interface CachedToken {
  readonly header: string;
  readonly freshUntil: number;
}

/** Where a token is wanted, without its scope. */
interface TokenServer {
  readonly realm: string;
  readonly service: string | undefined;
}

export interface Authorizer {
  /** What to send with a first attempt: nothing until the registry has asked for something. */
  before(access: Access, until: number): Promise<Authorization | undefined>;
  /**
   * What to send after a 401, in place of what was refused.
   * @throws RegistryDeniedError when there is nothing better to send
   */
  after(
    challenges: readonly Challenge[],
    access: Access,
    refused: Authorization | undefined,
    until: number,
  ): Promise<Authorization>;
}

const defaultLifetimeS = 60;
/** Tokens are renewed before they run out, as clocks differ and calls take time. */
const usableShare = 0.8;

/**
 * Answers the challenges of one registry host. Learns from the first 401 how the host wants to be asked, and from
 * then on asks for the usual scope beforehand.
 * @param judge throws for answers of the token server that mean the same everywhere: 403, 429, 5xx
 */
export function authorizer(
  reach: Reach,
  ask: (url: string, authorization: string | undefined, until: number) => Promise<HttpAnswer>,
  judge: (answer: HttpAnswer, what: string) => HttpAnswer,
): Authorizer {
  const tokens = new Lru<string, CachedToken>(2_000);
  const pending = new Map<string, Promise<CachedToken>>();
  const challenged = new Lru<string, readonly string[]>(2_000);
  let learned: TokenServer | "basic" | undefined;

  const usualScopes = ({ path, actions }: Access) => [`repository:${path}:${actions}`];

  const grantOf = (server: TokenServer, scopes: readonly string[]): Grant => {
    const query = [
      ...(server.service === undefined ? [] : [`service=${encodeURIComponent(server.service)}`]),
      ...scopes.map((scope) => `scope=${encodeURIComponent(scope)}`),
    ].join("&");
    return {
      ask: `${server.realm}${server.realm.includes("?") ? "&" : "?"}${query}`,
      account: reach.account()?.username ?? "",
    };
  };

  const basic = (): Authorization | undefined => {
    const account = reach.account();
    return account === undefined ? undefined : { header: basicHeader(account), grant: "basic" };
  };

  const bearer = async (grant: Grant, until: number): Promise<Authorization> => {
    const key = keyOf(grant);
    const cached = tokens.get(key);
    if (cached !== undefined && reach.clock.monotonic() < cached.freshUntil) {
      return { header: cached.header, grant };
    }
    let asking = pending.get(key);
    if (asking === undefined) {
      asking = fetchToken(grant, until).finally(() => pending.delete(key));
      pending.set(key, asking);
    }
    return { header: (await asking).header, grant };
  };

  const fetchToken = async (grant: Grant, until: number): Promise<CachedToken> => {
    const account = reach.account();
    const authorization = account === undefined ? undefined : basicHeader(account);
    const askedAt = reach.clock.monotonic();
    const answer = judge(await ask(grant.ask, authorization, until), "a request for a token");
    const body = answer.status === 200 ? readJson(TokenAnswer, answer.body) : undefined;
    const text = body?.token ?? body?.access_token;
    if (text === undefined || !/^[\x21-\x7e]+$/.test(text)) {
      throw new RegistryResponseError(
        `the token server of ${reach.host} answered ${answer.status} without a token`,
      );
    }
    const lifetimeS = Math.max(0, body?.expires_in ?? defaultLifetimeS);
    const token = { header: `Bearer ${text}`, freshUntil: askedAt + lifetimeS * 1_000 * usableShare };
    tokens.set(keyOf(grant), token);
    return token;
  };

  return {
    async before(access, until) {
      if (learned === undefined) return undefined;
      if (learned === "basic") return basic();
      return bearer(grantOf(learned, challenged.get(accessKey(access)) ?? usualScopes(access)), until);
    },

    async after(challenges, access, refused, until) {
      const wanted = challenges.find(({ scheme }) => scheme === "bearer");
      if (wanted !== undefined) {
        const { realm, service, scope } = wanted.parameters;
        const url = namedUrl(reach, realm ?? "", undefined, "a token server");
        url.hash = "";
        const server = { realm: url.href, service };
        const scopes =
          scope === undefined ? usualScopes(access) : scope.split(" ").filter((part) => part !== "");
        learned = server;
        challenged.set(accessKey(access), scopes);
        const grant = grantOf(server, scopes);
        // Somebody else may have renewed the token meanwhile: only the one that was refused is thrown away.
        const key = keyOf(grant);
        if (tokens.get(key)?.header === refused?.header) tokens.delete(key);
        return bearer(grant, until);
      }
      const offered = challenges.some(({ scheme }) => scheme === "basic") ? basic() : undefined;
      if (offered === undefined || offered.header === refused?.header) {
        throw new RegistryDeniedError(
          `${reach.host} refused access to ${access.path}: ${refusal(challenges, offered !== undefined)}`,
        );
      }
      learned = "basic";
      return offered;
    },
  };
}

function refusal(challenges: readonly Challenge[], hasCredentials: boolean): string {
  if (hasCredentials) return "it does not accept the configured username and password";
  return challenges.some(({ scheme }) => scheme === "basic")
    ? "it wants a username and a password, and none are configured for this host"
    : "it offers no way to log in that Landfall knows";
}

function accessKey({ path, actions }: Access): string {
  return `${path} ${actions}`;
}

function keyOf({ ask, account }: Grant): string {
  return `${account} ${ask}`;
}

function basicHeader({ username, password }: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`, "utf8").toString("base64")}`;
}
