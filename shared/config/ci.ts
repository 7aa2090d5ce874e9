/** What a CI system says of the build it runs, by its variables. */
export interface CiBuild {
  /** As people call it, e.g. `GitHub Actions`. */
  readonly system: string;
  /** The commit as it is told, mostly a full id. */
  readonly commit: string;
  /** The variable that told it. */
  readonly variable: string;
  readonly branch?: string;
  /** Where the repository is looked at, without credentials. */
  readonly repo?: string;
  readonly buildUrl?: string;
}

type Variables = (name: string) => string | undefined;

interface CiSystem {
  readonly system: string;
  readonly variable: string;
  /** Must be set too, where the commit's variable alone could be anybody's. */
  readonly mark?: string;
  readonly branch: (get: Variables) => string | undefined;
  readonly repo: (get: Variables) => string | undefined;
  readonly buildUrl: (get: Variables) => string | undefined;
}

const systems: readonly CiSystem[] = [
  {
    // https://docs.github.com/en/actions/reference/workflows-and-actions/variables
    system: "GitHub Actions",
    variable: "GITHUB_SHA",
    branch: (get) =>
      get("GITHUB_HEAD_REF") ?? (get("GITHUB_REF_TYPE") === "branch" ? get("GITHUB_REF_NAME") : undefined),
    repo: (get) => joined(get("GITHUB_SERVER_URL"), get("GITHUB_REPOSITORY")),
    buildUrl: (get) =>
      joined(get("GITHUB_SERVER_URL"), get("GITHUB_REPOSITORY"), "actions/runs", get("GITHUB_RUN_ID")),
  },
  {
    // https://docs.gitlab.com/ci/variables/predefined_variables: CI_REPOSITORY_URL holds a token.
    system: "GitLab",
    variable: "CI_COMMIT_SHA",
    branch: (get) => get("CI_COMMIT_BRANCH") ?? get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME"),
    repo: (get) => get("CI_PROJECT_URL"),
    buildUrl: (get) => get("CI_JOB_URL"),
  },
  {
    // https://circleci.com/docs/reference/variables
    system: "CircleCI",
    variable: "CIRCLE_SHA1",
    branch: (get) => get("CIRCLE_BRANCH"),
    repo: (get) => get("CIRCLE_REPOSITORY_URL"),
    buildUrl: (get) => get("CIRCLE_BUILD_URL"),
  },
  {
    // https://buildkite.com/docs/pipelines/configure/environment-variables
    system: "Buildkite",
    variable: "BUILDKITE_COMMIT",
    branch: (get) => get("BUILDKITE_BRANCH"),
    repo: (get) => get("BUILDKITE_REPO"),
    buildUrl: (get) => get("BUILDKITE_BUILD_URL"),
  },
  {
    // https://plugins.jenkins.io/git: GIT_BRANCH has the remote's name before it.
    system: "Jenkins",
    variable: "GIT_COMMIT",
    mark: "JENKINS_URL",
    branch: (get) => get("BRANCH_NAME") ?? get("GIT_BRANCH")?.replace(/^origin\//, ""),
    repo: (get) => get("GIT_URL"),
    buildUrl: (get) => get("BUILD_URL"),
  },
  {
    // https://cloud.google.com/build/docs/configuring-builds/substitute-variable-values: set by `automapSubstitutions`.
    system: "Cloud Build",
    variable: "COMMIT_SHA",
    branch: (get) => get("BRANCH_NAME"),
    repo: () => undefined,
    buildUrl: (get) => {
      const [project, build, region = "global"] = [get("PROJECT_ID"), get("BUILD_ID"), get("LOCATION")];
      if (project === undefined || build === undefined) return undefined;
      const where = region === "global" ? "" : `;region=${region}`;
      return `https://console.cloud.google.com/cloud-build/builds${where}/${build}?project=${project}`;
    },
  },
];

/** The build that this process is part of; `undefined` where no variable of a known CI system names a commit. */
export function ciBuild(env: Readonly<Record<string, string | undefined>>): CiBuild | undefined {
  const get: Variables = (name) => env[name] || undefined;
  for (const { system, variable, mark, ...read } of systems) {
    const commit = get(variable);
    if (commit === undefined || (mark !== undefined && get(mark) === undefined)) continue;
    const [branch, repo, buildUrl] = [read.branch(get), read.repo(get), read.buildUrl(get)];
    return {
      system,
      variable,
      commit,
      ...(branch === undefined ? {} : { branch }),
      ...(repo === undefined ? {} : { repo: withoutCredentials(repo) }),
      ...(buildUrl === undefined ? {} : { buildUrl: withoutCredentials(buildUrl) }),
    };
  }
  return undefined;
}

function joined(...parts: readonly (string | undefined)[]): string | undefined {
  return parts.includes(undefined) ? undefined : parts.join("/");
}

/** A clone URL may hold a token: `https://user:token@host/path`. */
export function withoutCredentials(url: string): string {
  return url.replace(/^(https?:\/\/)[^/]*@/i, "$1");
}
