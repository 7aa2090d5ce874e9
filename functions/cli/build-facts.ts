import { type CiBuild, withoutCredentials } from "../../shared/config/ci.ts";
import { isCommit } from "../../shared/domain/commit.ts";
import type { Answer, Call } from "./command.ts";

/** What a build message says beside the image, where it is known. */
export interface BuildFacts {
  readonly commit?: string;
  /** What told the commit, for a person. */
  readonly commitFrom: string;
  readonly branch?: string;
  readonly repo?: string;
  readonly buildUrl?: string;
}

/** Options first; the commit then by the tag, if that is one, and everything by the variables of the CI system. */
export function buildFacts(
  { options }: Call,
  tag: string,
  ci: CiBuild | undefined,
): BuildFacts | (Answer & { readonly kind: "usage" }) {
  const commit = options.commit;
  if (commit !== undefined && !isCommit(commit)) {
    const text =
      "--commit needs a full commit id, 40 or 64 lower-case hex digits: `git rev-parse HEAD` prints it";
    return { kind: "usage", text };
  }
  const branch = options.branch ?? ci?.branch;
  const repo = options.repo ?? ci?.repo;
  const buildUrl = options["build-url"] ?? ci?.buildUrl;
  return {
    ...commitOf(commit, tag, ci),
    ...(typeof branch === "string" ? { branch } : {}),
    ...(typeof repo === "string" ? { repo: withoutCredentials(repo) } : {}),
    ...(typeof buildUrl === "string" ? { buildUrl: withoutCredentials(buildUrl) } : {}),
  };
}

function commitOf(
  given: string | undefined,
  tag: string,
  ci: CiBuild | undefined,
): Pick<BuildFacts, "commit" | "commitFrom"> {
  if (given !== undefined) return { commit: given, commitFrom: "--commit" };
  if (isCommit(tag)) return { commit: tag, commitFrom: "the tag" };
  if (ci === undefined) {
    return { commitFrom: "the tag is none, and no variable of a CI system names one; --commit does" };
  }
  if (isCommit(ci.commit)) return { commit: ci.commit, commitFrom: `${ci.variable} of ${ci.system}` };
  return { commitFrom: `${ci.variable} of ${ci.system} is no full commit id; --commit takes one` };
}
