import type { Commit } from "../../domain/commit.ts";
import { HistoryUnavailableError } from "../../errors.ts";
import type { GitBranch, GitHost, Relation } from "../commit-history.ts";
import type { GitHostOptions } from "../host.ts";
import { type GitClient, gitClient } from "./client.ts";
import type { ObjectFormat } from "./pack.ts";

const defaultDeadlineMs = 10_000;
/** So many commits are read rather than left: the connection stays, and often a second question is saved. */
const fewCommits = 250;

/**
 * Any server that speaks git's smart HTTP protocol, version 2.
 *
 * It is asked to send what one commit descends from and the other does not. Nothing to be sent is the proof that the
 * first is an ancestor of the second, in about a hundred bytes whatever the distance. The `ready` with which servers
 * answer a negotiation is no such proof: git says it for a commit's parents and siblings too. Something to be sent is
 * no proof of the opposite, as servers cut their walk short by the commits' dates; only reading all of it is, since a
 * child of the other commit must be there if one descends from it.
 */
export function gitHost(options: GitHostOptions): GitHost {
  const { clock, deadlineMs = defaultDeadlineMs } = options;
  const client = gitClient(options);

  return {
    async relation(url, from, to) {
      if (from === to) return "same";
      return compare(client, url, { from, to, until: clock.monotonic() + deadlineMs });
    },
    async onBranch(at, commit) {
      return find(client, at, commit, clock.monotonic() + deadlineMs);
    },
    close: () => options.client.close(),
  };
}

async function compare(
  client: GitClient,
  url: string,
  { from, to, until }: { readonly from: Commit; readonly to: Commit; readonly until: number },
): Promise<Relation> {
  const repository = await client.open(url, until);
  const { objectFormat } = repository;
  if (!isOf(objectFormat, to)) return "unknown-to";

  if (!isOf(objectFormat, from)) {
    // Its own history has nothing that it does not have: this only asks whether it is there.
    const itself = await client.beyond(repository, { want: to, have: to, readUpTo: 0 }, until);
    return itself.kind === "unknown" ? "unknown-to" : "unknown-from";
  }

  // Whatever is newer is by far the most common question: it ends here.
  const before = await client.beyond(
    repository,
    { want: from, have: to, readUpTo: readable(repository, fewCommits) },
    until,
  );
  if (before.kind === "nothing") return "ancestor";
  if (before.kind === "some" && before.children === "some") return "descendant";

  const all = readable(repository, Number.POSITIVE_INFINITY);
  const after = await client.beyond(
    repository,
    { want: to, have: from, readUpTo: before.kind === "unknown" ? 0 : all },
    until,
  );
  if (after.kind === "unknown") return "unknown-to";
  if (before.kind === "unknown") return "unknown-from";
  if (after.kind === "nothing") return "descendant";
  if (after.children === "some") return "ancestor";

  const rest =
    before.children === "unread"
      ? await client.beyond(repository, { want: from, have: to, readUpTo: all }, until)
      : before;
  if (rest.kind === "unknown") throw changed();
  if (rest.kind === "nothing") return "ancestor";
  if (rest.children === "some") return "descendant";
  if (after.children === "unread" || rest.children === "unread") throw unfiltered();
  if (before.shallow || after.shallow || rest.shallow) throw cutOff();
  return "diverged";
}

async function find(
  client: GitClient,
  { url, branch }: GitBranch,
  commit: Commit,
  until: number,
): Promise<"on" | "off" | "unknown"> {
  const repository = await client.open(url, until);
  const tip = await client.tip(repository, branch, until);
  if (commit === tip) return "on";
  if (!isOf(repository.objectFormat, commit)) return "unknown";
  const beside = await client.beyond(repository, { want: commit, have: tip, readUpTo: 0 }, until);
  if (beside.kind === "unknown") return "unknown";
  if (beside.kind === "nothing") return "on";
  const since = await client.beyond(
    repository,
    { want: tip, have: commit, readUpTo: readable(repository, Number.POSITIVE_INFINITY) },
    until,
  );
  if (since.kind === "unknown") throw changed();
  // The tip is an ancestor of the commit: it was built before it was pushed to the branch.
  if (since.kind === "nothing") return "off";
  if (since.children === "some") return "on";
  if (since.children === "unread") throw unfiltered();
  if (beside.shallow || since.shallow) throw cutOff();
  return "off";
}

/** Without a filter, trees and files would come along: then no pack is read at all. */
function readable({ filter }: { readonly filter: boolean }, commits: number): number {
  return filter ? commits : 0;
}

function isOf(format: ObjectFormat, commit: Commit): boolean {
  return commit.length === (format === "sha1" ? 40 : 64);
}

function cutOff(): HistoryUnavailableError {
  return new HistoryUnavailableError(
    "the git server has a shallow copy of the repository: how the two commits stand may lie beyond where it is cut",
  );
}

function unfiltered(): HistoryUnavailableError {
  return new HistoryUnavailableError(
    "neither commit is plainly in the other's history, and to be sure the git server must offer `filter`: set uploadpack.allowFilter there",
  );
}

function changed(): HistoryUnavailableError {
  return new HistoryUnavailableError("the git server's answers contradict each other: it changed in between");
}
