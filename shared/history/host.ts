import type { Clock } from "../clock.ts";
import type { HttpClient } from "../http.ts";
import type { Secret } from "../secret.ts";

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
