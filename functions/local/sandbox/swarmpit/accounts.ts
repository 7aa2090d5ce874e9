import { createHmac, randomBytes, randomUUID, timingSafeEqual } from "node:crypto";
import type { Clock } from "../../../../shared/clock.ts";
import { Refusal } from "./engine.ts";

export type SwarmpitRole = "admin" | "user" | "viewer";

export interface SwarmpitUser {
  readonly username: string;
  readonly password: string;
  role: SwarmpitRole;
  /** `jti` of the one API token that is valid. */
  apiToken?: string;
}

/** Who calls, and with which token. */
export interface SwarmpitCaller {
  readonly user: SwarmpitUser;
  readonly jti: string;
}

interface Claims {
  readonly iss: "swarmpit" | "swarmpit-api";
  readonly usr: { readonly username: string };
  readonly jti: string;
  readonly exp?: number;
}

const loginTokenSeconds = 24 * 60 * 60;

/** Swarmpit's users and tokens: a login lasts a day, an API token until the next one is made. */
export class Accounts {
  readonly #clock: Clock;
  readonly #users: Map<string, SwarmpitUser>;
  readonly #key = randomBytes(32);
  readonly #revoked = new Set<string>();

  constructor(users: readonly SwarmpitUser[], clock: Clock) {
    this.#users = new Map(users.map((user) => [user.username, { ...user }]));
    this.#clock = clock;
  }

  user(username: string): SwarmpitUser {
    const user = this.#users.get(username);
    if (user === undefined) throw new Error(`the sandbox Swarmpit has no user ${username}`);
    return user;
  }

  remove(username: string): void {
    this.#users.delete(username);
  }

  /** @returns the token as Swarmpit hands it out: with `Bearer ` in front. */
  login(authorization: string | undefined): string {
    if (authorization === undefined) throw new Refusal(400, "Missing token");
    const pair = Buffer.from(authorization.replace(/^Basic /, ""), "base64").toString("utf8");
    // Every colon splits, so a password with one in it is cut short and never matches.
    const [username = "", password = ""] = pair.split(":");
    const user = this.#users.get(username);
    if (user === undefined || user.password !== password) {
      throw new Refusal(401, "The username or password you entered is incorrect.");
    }
    const exp = Math.floor(this.#clock.now() / 1000) + loginTokenSeconds;
    return this.#sign({ iss: "swarmpit", usr: { username }, jti: randomUUID(), exp });
  }

  /** A new API token, as it is handed out: with `Bearer ` in front. It ends the one before. */
  makeApiToken(user: SwarmpitUser): string {
    user.apiToken = randomUUID();
    return this.#sign({ iss: "swarmpit-api", usr: { username: user.username }, jti: user.apiToken });
  }

  dropApiToken(user: SwarmpitUser): void {
    delete user.apiToken;
  }

  logout(caller: SwarmpitCaller): void {
    this.#revoked.add(caller.jti);
  }

  /** @throws Refusal, marked as Swarmpit's own */
  caller(authorization: string | undefined): SwarmpitCaller {
    const token = /^Bearer (.+)$/.exec(authorization ?? "")?.[1];
    if (token === undefined) throw new Refusal(401, "Authentication failed", true);
    const claims = this.#verify(token);
    if (claims === undefined) throw new Refusal(401, "Token invalid", true);
    if (claims.exp !== undefined && claims.exp * 1000 <= this.#clock.now()) {
      throw new Refusal(401, "Token expired", true);
    }
    const user = this.#users.get(claims.usr.username);
    if (user === undefined) throw new Refusal(401, "Token rejected", true);
    if (claims.iss === "swarmpit-api" && user.apiToken !== claims.jti) {
      throw new Refusal(401, "Token discarded", true);
    }
    if (this.#revoked.has(claims.jti)) throw new Refusal(401, "Token revoked", true);
    return { user, jti: claims.jti };
  }

  #sign(claims: Claims): string {
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
    return `Bearer ${signed}.${this.#mac(signed).toString("base64url")}`;
  }

  #verify(token: string): Claims | undefined {
    const parts = token.split(".");
    const [header, claims, mac] = parts;
    if (parts.length !== 3 || header === undefined || claims === undefined || mac === undefined)
      return undefined;
    const given = Buffer.from(mac, "base64url");
    const own = this.#mac(`${header}.${claims}`);
    if (given.length !== own.length || !timingSafeEqual(given, own)) return undefined;
    return JSON.parse(Buffer.from(claims, "base64url").toString("utf8")) as Claims;
  }

  #mac(text: string): Buffer {
    return createHmac("sha256", this.#key).update(text).digest();
  }
}
