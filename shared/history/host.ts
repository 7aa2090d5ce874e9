import type { Clock } from "../clock.ts";
import type { HttpClient, HttpOptions } from "../http.ts";
import type { ResolveSecret, Secret } from "../secret.ts";
import type { GitHost } from "./commit-history.ts";

/** What a `GitHost` of any kind is made of. One client serves one host, and credentials go to no other. */
export interface GitHostOptions {
  /** Where its API (`github`, `gitiles`) or its repositories (`git`) are, e.g. `https://git.acme.io/api/v3`. */
  readonly base: string;
  readonly token?: Secret | undefined;
  /** Whose token it is, where the kind of host asks for that. */
  readonly username?: Secret | undefined;
  readonly client: HttpClient;
  readonly clock: Clock;
  /** A call of the port is over within this, ms; default 10 s. */
  readonly deadlineMs?: number | undefined;
}

/** One entry of `git` of the configuration. Texts that may hold secrets are still templates. */
export interface GitHostEntry {
  /** As git URLs have it; see `normaliseGitHost`. */
  readonly host: string;
  readonly kind: "github" | "gitiles" | "git";
  /** Where it is reached, if elsewhere, e.g. `https://git.internal/api/v3`. */
  readonly url?: string | undefined;
  readonly plainHttp?: boolean | undefined;
  readonly ca?: string | undefined;
  readonly username?: string | undefined;
  readonly token?: string | undefined;
}

/** What a history is made with, beyond the configuration. */
export interface HistoryContext {
  readonly secret: ResolveSecret;
  readonly clock: Clock;
  /** From 0 to 1, as `Math.random`. */
  readonly random: () => number;
  /** Makes the client that a host is asked with; default `httpClient`. */
  readonly connect?: (options: HttpOptions) => HttpClient;
}

/** Which host answers for which repository. */
export interface GitHosts {
  /** @throws HistoryDeniedError when the address is none that a git host could be asked about */
  of(url: string): NamedHost;
  close(): Promise<void>;
}

export interface NamedHost {
  /** As in the git URL, e.g. `github.com`; for messages. */
  readonly name: string;
  /** Its code is loaded when it is first asked. */
  open(): Promise<GitHost>;
}
