import * as z from "zod/mini";
import type { Commit } from "../domain/commit.ts";
import { HistoryDeniedError } from "../errors.ts";
import { type HttpAnswer, retryAfterMs } from "../http.ts";
import { readJson } from "../json.ts";
import { branchPath, onlyCommits, repositoryPath } from "./address.ts";
import type { GitBranch, GitHost } from "./commit-history.ts";
import type { GitHostOptions } from "./host.ts";
import { hostedClient } from "./hosted.ts";
import { atMost } from "./pace.ts";

/** https://gerrit.googlesource.com/gitiles/+/HEAD/Documentation/developer-guide.md; `next` begins the next page. */
const Log = z.object({
  log: z.array(z.object({ commit: z.string(), parents: z.optional(z.array(z.string())) })),
  next: z.optional(z.string()),
});
type Log = z.infer<typeof Log>;

/** By full name, or below the prefix that was asked for where there is no such ref. */
const References = z.record(z.string(), z.object({ value: z.string() }));

/** What a call of the port knows from its beginning. */
interface Place {
  /** e.g. `https://skia.googlesource.com/a/skia` */
  readonly api: string;
  /** e.g. `skia` */
  readonly name: string;
  readonly until: number;
}

const perSecond = 4;
const burst = 40;
/** Commits a page, and how many pages of each side are read before two commits are told to have diverged. */
const pageSize = 1_000;
const maxPages = 2;

/**
 * Gitiles, as on googlesource.com or as Gerrit's plugin. Anonymous, or a token: as the password of `username`, or
 * without one as an OAuth access token.
 * `base`: `https://skia.googlesource.com`, or `https://gerrit.acme.io/plugins/gitiles`.
 */
export function gitilesHost(options: GitHostOptions): GitHost {
  const { clock, token, username } = options;
  const client = hostedClient(options, {
    pace: atMost(perSecond, burst, clock),
    // It redirects to where people log in, and nowhere else.
    followsRedirects: false,
    headers: () => (token === undefined ? {} : { authorization: authorizationOf(token(), username?.()) }),
    limit: (answer) => (answer.status === 429 ? { waitMs: retryAfterMs(answer, clock.now()) } : undefined),
  });
  const base = token === undefined ? options.base.replace(/\/+$/, "") : authenticatedBase(options.base);

  const placeOf = (url: string): Place => {
    const path = repositoryPath(url);
    const below = new URL(options.base).pathname.split("/").filter((segment) => segment !== "");
    const isBelow = below.every((segment, index) => path[index] === segment);
    const [first, ...rest] = isBelow ? path.slice(below.length) : path;
    // `/a/` is how Gerrit's addresses tell who has to log in: no repository begins so.
    const name = (first === "a" && rest.length > 0 ? rest : [first ?? "", ...rest]).join("/");
    if (name === "")
      throw new HistoryDeniedError(`${client.host}: a repository's \`url\` names no repository`);
    return { api: `${base}/${name}`, name, until: client.until() };
  };

  /** `undefined`: it does not show one of the commits, the branch, or the repository. */
  const log = async (
    { api, name, until }: Place,
    range: string,
    count: number,
    start?: string,
  ): Promise<Log | undefined> => {
    const what = `a log of ${name}`;
    // Without an order a log begins before all that it must leave out is known, if dates of commits are out of order.
    const query = `format=JSON&n=${count}&topo-order=1${start === undefined ? "" : `&s=${start}`}`;
    const answer = await client.get({ url: `${api}/+log/${range}?${query}`, until, what });
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw client.senseless(what, `it answered ${answer.status}`);
    const page = readJson(Log, guarded(answer));
    if (page === undefined) throw client.senseless(what, "the answer is no log");
    return page;
  };

  /** What a ref, or all below it, is at; `undefined`: the repository is not there for us. */
  const references = async ({ api, name, until }: Place, ref: string) => {
    const what = `the refs of ${name}`;
    const answer = await client.get({ url: `${api}/+refs/${ref}?format=JSON`, until, what });
    if (answer.status === 404) {
      throw new HistoryDeniedError(
        `${client.host}: there is no repository ${name}, or the credentials may not see it: check \`url\` and the account's access`,
      );
    }
    const found = answer.status === 200 ? readJson(References, guarded(answer)) : undefined;
    if (found === undefined) throw client.senseless(what, `it answered ${answer.status} without refs`);
    return found;
  };

  /** @throws HistoryDeniedError when the repository is not there for us */
  const knows = async (place: Place, commit: Commit): Promise<boolean> => {
    if ((await log(place, commit, 1)) !== undefined) return true;
    // No such ref: an empty list, from a repository that is there.
    await references(place, "landfall");
    return false;
  };

  /**
   * Whether what is in the range has that commit as its parent: if the range is all from some commit down to this
   * one, then that commit comes after this one. Dates of commits, which an empty range may depend on, do not matter.
   */
  const hasChild = async (place: Place, range: string, parent: string): Promise<boolean> => {
    let start: string | undefined;
    for (let page = 0; page < maxPages; page += 1) {
      const found = await log(place, range, pageSize, start);
      if (found === undefined)
        throw client.senseless(`a log of ${place.name}`, "it showed these commits before");
      if (found.log.some(({ parents }) => parents?.includes(parent))) return true;
      start = found.next;
      if (start === undefined || !/^[0-9a-f]{40,64}$/.test(start)) return false;
    }
    return false;
  };

  return {
    async relation(url, from, to) {
      onlyCommits(from, to);
      const place = placeOf(url);
      if (from === to) return (await knows(place, to)) ? "same" : "unknown-to";
      const [forth, back] = [`${from}..${to}`, `${to}..${from}`];
      // What `from` has and `to` has not: nothing, if and only if `from` comes before `to`.
      const onlyFrom = await log(place, back, 1);
      if (onlyFrom === undefined) return (await knows(place, to)) ? "unknown-from" : "unknown-to";
      if (onlyFrom.log.length === 0) return "ancestor";
      const onlyTo = await log(place, forth, 1);
      if (onlyTo === undefined)
        throw client.senseless(`a log of ${place.name}`, "it showed these commits before");
      if (onlyTo.log.length === 0) return "descendant";
      if (await hasChild(place, forth, from)) return "ancestor";
      return (await hasChild(place, back, to)) ? "descendant" : "diverged";
    },
    async onBranch({ url, branch }: GitBranch, commit) {
      onlyCommits(commit);
      const place = placeOf(url);
      const ref = `refs/heads/${branchPath(branch)}`;
      const off = await log(place, `${ref}..${commit}`, 1);
      if (off === undefined) {
        const found = await references(place, `heads/${branchPath(branch)}`);
        if (found[`refs/heads/${branch}`] !== undefined) return "unknown";
        throw new HistoryDeniedError(
          `${client.host}: ${place.name} has no branch ${branch}: check \`branch\``,
        );
      }
      if (off.log.length === 0) return "on";
      return (await hasChild(place, `${commit}..${ref}`, commit)) ? "on" : "off";
    },
    close: () => options.client.close(),
  };
}

/** JSON without the line in front of it that keeps browsers from running it. */
function guarded({ body }: HttpAnswer): string {
  return body.toString("utf8").replace(/^\)\]\}'[^\n]*\n/, "");
}

function authorizationOf(token: string, username: string | undefined): string {
  if (username === undefined) return `Bearer ${token.trim()}`;
  return `Basic ${Buffer.from(`${username.trim()}:${token.trim()}`).toString("base64")}`;
}

/** Gerrit looks at credentials below `/a/` only: after what is in front of all of it, before its plugins. */
function authenticatedBase(base: string): string {
  const url = new URL(base);
  const path = url.pathname.replace(/\/+$/, "");
  if (/(?:^|\/)a(?:\/|$)/.test(path)) return `${url.origin}${path}`;
  const [, prefix = "", plugin = ""] = /^(.*?)(\/plugins\/.*)?$/.exec(path) ?? [];
  return `${url.origin}${prefix}/a${plugin}`;
}
