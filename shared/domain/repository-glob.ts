import * as z from "zod/mini";
import { normaliseHost, parseRepository, type Repository } from "./reference.ts";

/**
 * A pattern over host-qualified repositories. Only `*` is special: in the host it stands for any characters but
 * `/`, in the path for any characters, `/` included. `docker.io/acme/*` matches `docker.io/acme/web` and
 * `docker.io/acme/team/web`; `docker.io/acme/web` matches itself alone.
 */
export const RepositoryGlob = z.string().check((context) => {
  const problem = globProblem(context.value);
  if (problem !== undefined) {
    context.issues.push({ code: "custom", message: problem, input: context.value });
  }
});

/** Whether any of the globs matches a repository. Without globs nothing does. Expects globs that `RepositoryGlob` accepts. */
export function matcher(globs: readonly string[]): (repository: Repository) => boolean {
  const patterns = globs.map(pattern);
  return (repository) => patterns.some((matches) => matches.test(repository));
}

function globProblem(glob: string): string | undefined {
  const slash = glob.indexOf("/");
  const host = slash < 0 ? "" : glob.slice(0, slash);
  if (glob === "" || /\s/.test(glob)) return "is empty or has spaces; write for example `docker.io/acme/*`";
  if (/^https?:\/\//i.test(glob)) return "starts with a scheme; leave `https://` away";
  if (/[?[\]{}!()\\]/.test(host.startsWith("[") ? glob.slice(slash) : glob)) {
    return "has a special character other than `*`; only `*` stands for something else";
  }
  if (!isHost(host)) {
    return "names no registry host; put it in front, for Docker Hub `docker.io/`, e.g. `docker.io/acme/*`";
  }
  const path = glob.slice(slash + 1);
  if (/[@:]/.test(path)) return "has a tag or digest; name the repository alone";
  if (path !== path.toLowerCase()) return "has capital letters in the path; repositories are lower-case";
  if (parseRepository(plain(glob)).kind === "invalid") {
    return "is no repository name; write host/path, where `*` stands for any characters";
  }
  return undefined;
}

function isHost(text: string): boolean {
  return text === "localhost" || /[.:*]/.test(text);
}

/** The glob with a letter for every run of `*`: legal exactly when the glob could match something. */
function plain(glob: string): string {
  const slash = glob.indexOf("/");
  const host = glob.slice(0, slash).replace(/\*+/g, "a");
  return `${/[.:]/.test(host) ? host : "localhost"}${glob.slice(slash).replace(/\*+/g, "a")}`;
}

function pattern(glob: string): RegExp {
  if (!glob.includes("*")) {
    const parsed = parseRepository(glob);
    return new RegExp(`^${escaped(parsed.kind === "repository" ? parsed.repository : glob)}$`);
  }
  const slash = glob.indexOf("/");
  const host = normaliseHost(glob.slice(0, slash)).split(/\*+/).map(escaped).join("[^/]*");
  const path = glob.slice(slash).split(/\*+/).map(escaped).join(".*");
  return new RegExp(`^${host}${path}$`);
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");
}
