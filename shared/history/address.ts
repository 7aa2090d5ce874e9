import { type Commit, isCommit } from "../domain/commit.ts";
import { HistoryDeniedError } from "../errors.ts";

/**
 * The segments of a repository's path, of its HTTPS address without what is at the end for git:
 * `https://github.com/acme/app.git` → `["acme", "app"]`.
 * @throws HistoryDeniedError when the address is none that a git host gives
 */
export function repositoryPath(url: string): readonly string[] {
  const path = URL.parse(url)?.pathname ?? "";
  const segments = path.replace(/^\/+|\/+$/g, "").split("/");
  const named = [...segments.slice(0, -1), (segments.at(-1) ?? "").replace(/\.git$/, "")];
  if (!named.every((segment) => /^[A-Za-z0-9._~-]{1,100}$/.test(segment) && !/^\.+$/.test(segment))) {
    throw new HistoryDeniedError(
      "the address of a git repository ends in no repository's path: mend its `url`",
    );
  }
  return named;
}

/**
 * A branch as part of a URL's path, e.g. `release/1.x`.
 * @throws HistoryDeniedError when git allows no branch of that name
 */
export function branchPath(branch: string): string {
  const segments = branch.split("/");
  const allowed =
    !/\.\.|@\{|[ ~^:?*[\\]|\p{Cc}/u.test(branch) &&
    segments.every((segment) => segment !== "" && !/^\.|\.$|\.lock$/.test(segment));
  if (!allowed) throw new HistoryDeniedError("the name of a branch is none that git allows: mend `branch`");
  return segments.map(encodeURIComponent).join("/");
}

/** Nothing but full ids goes into a URL: `owner:ref` would have a host look into another repository. */
export function onlyCommits(...ids: readonly Commit[]): void {
  if (!ids.every(isCommit)) throw new TypeError("expected full commit ids");
}
