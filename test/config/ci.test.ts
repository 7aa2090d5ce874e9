import { describe, expect, it } from "vitest";
import { type CiBuild, ciBuild, withoutCredentials } from "../../shared/config/ci.ts";
import { buildMachine } from "../../shared/config/load.ts";

const commit = "840ee5a432444a504020e1ec3b25e2e3f4763e7b";

describe("the build that a process is part of", () => {
  it.each<{ name: string; env: Record<string, string>; build: Omit<CiBuild, "commit"> | undefined }>([
    { name: "nothing is known of a laptop", env: { HOME: "/home/ada", USER: "ada" }, build: undefined },
    {
      name: "GitHub Actions, a push",
      env: {
        GITHUB_SHA: commit,
        GITHUB_REF_TYPE: "branch",
        GITHUB_REF_NAME: "main",
        GITHUB_HEAD_REF: "",
        GITHUB_SERVER_URL: "https://github.com",
        GITHUB_REPOSITORY: "acme/api",
        GITHUB_RUN_ID: "77",
      },
      build: {
        system: "GitHub Actions",
        variable: "GITHUB_SHA",
        branch: "main",
        repo: "https://github.com/acme/api",
        buildUrl: "https://github.com/acme/api/actions/runs/77",
      },
    },
    {
      name: "GitHub Actions, a pull request: the branch is not the merge that was built",
      env: {
        GITHUB_SHA: commit,
        GITHUB_REF_TYPE: "branch",
        GITHUB_REF_NAME: "12/merge",
        GITHUB_HEAD_REF: "fix",
      },
      build: { system: "GitHub Actions", variable: "GITHUB_SHA", branch: "fix" },
    },
    {
      name: "GitHub Actions, a tag: no branch",
      env: { GITHUB_SHA: commit, GITHUB_REF_TYPE: "tag", GITHUB_REF_NAME: "v1" },
      build: { system: "GitHub Actions", variable: "GITHUB_SHA" },
    },
    {
      name: "GitLab, never by the address that holds the job's token",
      env: {
        CI_COMMIT_SHA: commit,
        CI_COMMIT_BRANCH: "main",
        CI_PROJECT_URL: "https://gitlab.com/acme/api",
        CI_REPOSITORY_URL: "https://gitlab-ci-token:xyzzy@gitlab.com/acme/api.git",
        CI_JOB_URL: "https://gitlab.com/acme/api/-/jobs/9",
      },
      build: {
        system: "GitLab",
        variable: "CI_COMMIT_SHA",
        branch: "main",
        repo: "https://gitlab.com/acme/api",
        buildUrl: "https://gitlab.com/acme/api/-/jobs/9",
      },
    },
    {
      name: "Cloud Build, in a region",
      env: {
        COMMIT_SHA: commit,
        BRANCH_NAME: "main",
        PROJECT_ID: "acme",
        BUILD_ID: "b-1",
        LOCATION: "europe-west1",
      },
      build: {
        system: "Cloud Build",
        variable: "COMMIT_SHA",
        branch: "main",
        buildUrl: "https://console.cloud.google.com/cloud-build/builds;region=europe-west1/b-1?project=acme",
      },
    },
    {
      name: "Cloud Build, without a region",
      env: { COMMIT_SHA: commit, PROJECT_ID: "acme", BUILD_ID: "b-1", LOCATION: "global" },
      build: {
        system: "Cloud Build",
        variable: "COMMIT_SHA",
        buildUrl: "https://console.cloud.google.com/cloud-build/builds/b-1?project=acme",
      },
    },
    {
      name: "Jenkins, whose branches have the remote's name before them",
      env: {
        JENKINS_URL: "https://ci.acme.io",
        GIT_COMMIT: commit,
        GIT_BRANCH: "origin/main",
        GIT_URL: "https://bot:xyzzy@git.acme.io/api.git",
        BUILD_URL: "https://ci.acme.io/job/api/3/",
      },
      build: {
        system: "Jenkins",
        variable: "GIT_COMMIT",
        branch: "main",
        repo: "https://git.acme.io/api.git",
        buildUrl: "https://ci.acme.io/job/api/3/",
      },
    },
    { name: "GIT_COMMIT alone could be anybody's", env: { GIT_COMMIT: commit }, build: undefined },
    {
      name: "CircleCI",
      env: {
        CIRCLE_SHA1: commit,
        CIRCLE_BRANCH: "main",
        CIRCLE_REPOSITORY_URL: "git@github.com:acme/api.git",
        CIRCLE_BUILD_URL: "https://circleci.com/gh/acme/api/1",
      },
      build: {
        system: "CircleCI",
        variable: "CIRCLE_SHA1",
        branch: "main",
        repo: "git@github.com:acme/api.git",
        buildUrl: "https://circleci.com/gh/acme/api/1",
      },
    },
    {
      name: "Buildkite",
      env: { BUILDKITE_COMMIT: commit, BUILDKITE_BRANCH: "main" },
      build: { system: "Buildkite", variable: "BUILDKITE_COMMIT", branch: "main" },
    },
  ])("is read from the variables: $name", ({ env, build }) => {
    expect(ciBuild(env)).toEqual(build === undefined ? undefined : { ...build, commit });
  });

  it.each([
    ["https://user:pass@host/path", "https://host/path"],
    ["https://token@host/path@1", "https://host/path@1"],
    ["https://a:b@c@host/path", "https://host/path"],
    ["https://host/path", "https://host/path"],
    ["git@github.com:acme/api.git", "git@github.com:acme/api.git"],
  ])("is told without credentials: %s", (url, told) => {
    expect(withoutCredentials(url)).toBe(told);
  });

  it.each([
    [{ DOCKER_CONFIG: "/etc/docker-ci", HOME: "/home/ada" }, "/etc/docker-ci/config.json"],
    [{ HOME: "/builder/home" }, "/builder/home/.docker/config.json"],
  ])("has docker's logins where docker itself looks for them", (env, path) => {
    expect(buildMachine(env).dockerConfig).toBe(path);
  });
});
