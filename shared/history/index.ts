import type { CommitHistory } from "./commit-history.ts";
import type { GitHostEntry, HistoryContext } from "./host.ts";
import { type GitHostKinds, gitHosts } from "./hosts.ts";
import { commitHistory } from "./ordering.ts";

/** The code of every kind of git host, loaded when one is asked. */
const kinds: GitHostKinds = {
  github: async () => (await import("./github.ts")).githubHost,
  gitiles: async () => (await import("./gitiles.ts")).gitilesHost,
  git: async () => (await import("./git/git.ts")).gitHost,
};

/** The order of commits, by the hosts that `git` of the configuration lists. Nothing is asked before it is needed. */
export function createHistory(entries: readonly GitHostEntry[], context: HistoryContext): CommitHistory {
  return commitHistory(gitHosts(entries, context, kinds), context);
}
