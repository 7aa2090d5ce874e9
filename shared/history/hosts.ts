import { HistoryDeniedError } from "../errors.ts";
import { type HttpClient, httpClient } from "../http.ts";
import type { Secret } from "../secret.ts";
import type { GitHost } from "./commit-history.ts";
import { normaliseGitHost } from "./config.ts";
import type { GitHostEntry, GitHostOptions, GitHosts, HistoryContext, NamedHost } from "./host.ts";

/** Loads what makes a host of each kind. */
export type GitHostKinds = Readonly<
  Record<GitHostEntry["kind"], () => Promise<(options: GitHostOptions) => GitHost>>
>;

/**
 * Chooses a host by exactly the host of the git URL. One that is not configured is asked without credentials; which
 * kind it is its name tells.
 */
export function gitHosts(
  entries: readonly GitHostEntry[],
  context: HistoryContext,
  kinds: GitHostKinds,
): GitHosts {
  const configured = new Map(entries.map((entry) => [normaliseGitHost(entry.host), entry]));
  const known = new Map<string, NamedHost & { readonly client: HttpClient }>();

  const make = (name: string) => {
    const entry: GitHostEntry = configured.get(name) ?? { host: name, kind: kindOf(name) };
    const client = trusting(context, entry.ca === undefined ? undefined : context.secret(entry.ca));
    let made: Promise<GitHost> | undefined;
    return {
      name,
      client,
      open: () => {
        made ??= kinds[entry.kind]().then((create) =>
          create({ ...credentials(entry, context), base: baseOf(entry), client, clock: context.clock }),
        );
        return made;
      },
    };
  };

  return {
    of(url) {
      const name = URL.parse(url)?.host ?? "";
      if (name === "") throw new HistoryDeniedError("a git repository's `url` names no host: mend it");
      const host = known.get(name) ?? make(name);
      known.set(name, host);
      return host;
    },
    async close() {
      for (const { client } of known.values()) await client.close();
    },
  };
}

function kindOf(host: string): GitHostEntry["kind"] {
  if (host === "github.com") return "github";
  return host.endsWith(".googlesource.com") ? "gitiles" : "git";
}

function baseOf({ host, kind, url, plainHttp }: GitHostEntry): string {
  if (url !== undefined) return url.replace(/\/+$/, "");
  if (kind === "github" && host === "github.com") return "https://api.github.com";
  return `${plainHttp === true ? "http" : "https"}://${host}${kind === "github" ? "/api/v3" : ""}`;
}

function credentials(
  { token, username }: GitHostEntry,
  { secret }: HistoryContext,
): Pick<GitHostOptions, "token" | "username"> {
  return {
    ...(token === undefined ? {} : { token: secret(token) }),
    ...(username === undefined ? {} : { username: secret(username) }),
  };
}

/** One client a trusted certificate, so that a rotated one gets its own. */
function trusting({ connect = httpClient }: HistoryContext, ca: Secret | undefined): HttpClient {
  const clients = new Map<string, HttpClient>();
  const current = () => {
    const trusted = ca?.() ?? "";
    const client = clients.get(trusted) ?? connect(trusted === "" ? {} : { ca: trusted });
    clients.set(trusted, client);
    return client;
  };
  return {
    request: async (request) => current().request(request),
    async close() {
      for (const client of clients.values()) await client.close();
    },
  };
}
