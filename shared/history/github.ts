import * as z from "zod/mini";
import { type Commit, isCommit } from "../domain/commit.ts";
import { HistoryDeniedError } from "../errors.ts";
import { type HttpAnswer, headerOf, maxRetryAfterMs, retryAfterMs } from "../http.ts";
import { readJson } from "../json.ts";
import { branchPath, onlyCommits, repositoryPath } from "./address.ts";
import type { GitBranch, GitHost, Relation } from "./commit-history.ts";
import type { GitHostOptions } from "./host.ts";
import { hostedClient } from "./hosted.ts";
import { oneAtATime } from "./pace.ts";

/** https://docs.github.com/en/rest/commits/commits#compare-two-commits; all of it is the same on every page. */
const Comparison = z.object({
  status: z.enum(["ahead", "behind", "identical", "diverged"]),
  merge_base_commit: z.object({ sha: z.string() }),
});
type Comparison = z.infer<typeof Comparison>;

/** https://docs.github.com/en/rest/git/refs#get-a-reference */
const Reference = z.object({ ref: z.string(), object: z.object({ sha: z.string() }) });

const Refusal = z.object({ message: z.string() });

/** What a call of the port knows from its beginning. */
interface Place {
  /** e.g. `https://api.github.com/repos/acme/app` */
  readonly api: string;
  /** e.g. `acme/app` */
  readonly name: string;
  readonly until: number;
}

/** What a comparison tells of two commits; `undefined`: one of them, or the repository, is not there for us. */
type Compared = Exclude<Relation, "unknown-from" | "unknown-to"> | undefined;

/**
 * GitHub, and GitHub Enterprise Server, by the REST API. The token needs to read contents and metadata.
 * `base`: `https://api.github.com`, or `https://HOST/api/v3`.
 */
export function githubHost(options: GitHostOptions): GitHost {
  const { clock } = options;
  const client = hostedClient(options, {
    // GitHub asks for it: requests at the same time count towards its secondary limits.
    pace: oneAtATime(clock),
    followsRedirects: true,
    headers: () => ({
      accept: "application/vnd.github+json",
      "x-github-api-version": "2022-11-28",
      ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token().trim()}` }),
    }),
    limit: (answer) => limitOf(answer, clock.now()),
  });
  const base = options.base.replace(/\/+$/, "");
  /** The tip of each branch as last read: asking whether it is still the tip counts for nothing. */
  const tips = new Map<string, { readonly etag: string; readonly tip: Commit }>();

  const placeOf = (url: string): Place => {
    const path = repositoryPath(url);
    if (path.length !== 2) {
      throw new HistoryDeniedError(`${client.host}: a repository's \`url\` ends in its owner and its name`);
    }
    const name = path.join("/");
    return { api: `${base}/repos/${name}`, name, until: client.until() };
  };

  const compare = async ({ api, name, until }: Place, from: Commit, to: Commit): Promise<Compared> => {
    const what = `a comparison in ${name}`;
    // The first page lists changed files with their patches; the others hold commits only.
    const answer = await client.get({ url: `${api}/compare/${from}...${to}?per_page=1&page=2`, until, what });
    if (answer.status === 404) {
      const message = readJson(Refusal, answer.body)?.message ?? "";
      return /^No common ancestor/i.test(message) ? "diverged" : undefined;
    }
    if (answer.status !== 200) throw client.senseless(what, `it answered ${answer.status}`);
    const comparison = readJson(Comparison, answer.body);
    if (comparison === undefined) throw client.senseless(what, "the answer is no comparison");
    const compared = comparedBy(comparison, from, to);
    if (compared === undefined) throw client.senseless(what, "the answer contradicts itself");
    return compared;
  };

  /** @throws HistoryDeniedError when the repository is not there for us */
  const seeRepository = async ({ api, name, until }: Place): Promise<void> => {
    const what = `the repository ${name}`;
    const { status } = await client.get({ url: api, until, what });
    if (status === 200) return;
    if (status !== 404) throw client.senseless(what, `it answered ${status}`);
    throw new HistoryDeniedError(
      `${client.host}: there is no repository ${name}, or the token may not see it: check \`url\` and the token's access`,
    );
  };

  /** @throws HistoryDeniedError when the repository is not there for us */
  const knows = async (place: Place, commit: Commit): Promise<boolean> => {
    const what = `a commit in ${place.name}`;
    // Asked for in this form, a commit is its id and not all that it changes.
    const headers = { accept: "application/vnd.github.sha" };
    const { status } = await client.get({
      url: `${place.api}/commits/${commit}`,
      headers,
      until: place.until,
      what,
    });
    if (status === 200) return true;
    if (status === 422) return false;
    // 409: the repository has no commit at all.
    if (status !== 404 && status !== 409) throw client.senseless(what, `it answered ${status}`);
    await seeRepository(place);
    return false;
  };

  const tipOf = async (place: Place, branch: string): Promise<Commit> => {
    const url = `${place.api}/git/ref/heads/${branchPath(branch)}`;
    const what = `the tip of ${branch} in ${place.name}`;
    const known = tips.get(url);
    const headers = known === undefined ? {} : { "if-none-match": known.etag };
    const answer = await client.get({ url, headers, until: place.until, what });
    if (answer.status === 304 && known !== undefined) return known.tip;
    if (answer.status === 404 || answer.status === 409) {
      await seeRepository(place);
      throw new HistoryDeniedError(`${client.host}: ${place.name} has no branch ${branch}: check \`branch\``);
    }
    const reference = answer.status === 200 ? readJson(Reference, answer.body) : undefined;
    const tip = reference?.ref === `refs/heads/${branch}` ? reference.object.sha : undefined;
    if (!isCommit(tip)) throw client.senseless(what, `it answered ${answer.status} without a commit`);
    const etag = headerOf(answer, "etag");
    if (etag !== undefined) tips.set(url, { etag, tip });
    return tip;
  };

  return {
    async relation(url, from, to) {
      onlyCommits(from, to);
      const place = placeOf(url);
      const compared = await compare(place, from, to);
      if (compared !== undefined) return compared;
      if (!(await knows(place, to))) return "unknown-to";
      if (!(await knows(place, from))) return "unknown-from";
      throw client.senseless(`a comparison in ${place.name}`, "it has both commits and compares them not");
    },
    async onBranch({ url, branch }: GitBranch, commit) {
      onlyCommits(commit);
      const place = placeOf(url);
      const tip = await tipOf(place, branch);
      if (tip === commit) return "on";
      const compared = await compare(place, commit, tip);
      if (compared !== undefined) return compared === "ancestor" ? "on" : "off";
      if (!(await knows(place, commit))) return "unknown";
      throw client.senseless(`a comparison in ${place.name}`, "it has both commits and compares them not");
    },
    close: () => options.client.close(),
  };
}

/** `ahead` and `behind` are said of the second commit. `undefined`: the merge base tells another story. */
function comparedBy({ status, merge_base_commit }: Comparison, from: Commit, to: Commit): Compared {
  switch (status) {
    case "identical":
      return from === to ? "same" : undefined;
    case "ahead":
      return from !== to && merge_base_commit.sha === from ? "ancestor" : undefined;
    case "behind":
      return from !== to && merge_base_commit.sha === to ? "descendant" : undefined;
    case "diverged":
      return merge_base_commit.sha !== from && merge_base_commit.sha !== to ? "diverged" : undefined;
    default:
      return status satisfies never;
  }
}

/** https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api */
function limitOf(answer: HttpAnswer, nowMs: number): { readonly waitMs: number | undefined } | undefined {
  if (answer.status !== 403 && answer.status !== 429) return undefined;
  const asked = retryAfterMs(answer, nowMs);
  if (asked !== undefined) return { waitMs: asked };
  if (headerOf(answer, "x-ratelimit-remaining") === "0") {
    const reset = Number(headerOf(answer, "x-ratelimit-reset"));
    // Seconds since the epoch. A clock that differs from theirs must not make this nothing, or for ever.
    const waitMs = Math.min(Math.max(reset * 1_000 - nowMs, 1_000), maxRetryAfterMs);
    return { waitMs: Number.isFinite(waitMs) ? waitMs : undefined };
  }
  const message = readJson(Refusal, answer.body)?.message ?? "";
  return answer.status === 429 || /rate limit|abuse detection/i.test(message)
    ? { waitMs: undefined }
    : undefined;
}
