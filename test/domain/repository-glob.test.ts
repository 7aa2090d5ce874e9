import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Repository } from "../../shared/domain/reference.ts";
import { matcher, RepositoryGlob } from "../../shared/domain/repository-glob.ts";

interface Case {
  readonly name: string;
  readonly glob: string;
  readonly repository: Repository;
  readonly matches: boolean;
}

const component = fc.stringMatching(/^[a-z0-9]{1,8}$/);
const repository = fc
  .tuple(
    fc.constantFrom("docker.io", "gcr.io", "reg.example:5000", "localhost"),
    fc.array(component, { minLength: 2, maxLength: 4 }),
  )
  .map(([host, path]): Repository => `${host}/${path.join("/")}`);

describe("a repository glob", () => {
  it.each<Case>([
    {
      name: "matches a repository below a namespace",
      glob: "docker.io/acme/*",
      repository: "docker.io/acme/web",
      matches: true,
    },
    {
      name: "matches across path segments",
      glob: "docker.io/acme/*",
      repository: "docker.io/acme/team/web",
      matches: true,
    },
    {
      name: "takes `**` as `*`",
      glob: "docker.io/acme/**",
      repository: "docker.io/acme/team/web",
      matches: true,
    },
    {
      name: "matches within a segment",
      glob: "gcr.io/acme/web-*",
      repository: "gcr.io/acme/web-api",
      matches: true,
    },
    {
      name: "needs the rest of the segment",
      glob: "gcr.io/acme/*-api",
      repository: "gcr.io/acme/web-ui",
      matches: false,
    },
    {
      name: "does not match a longer namespace",
      glob: "docker.io/acme/*",
      repository: "docker.io/acme2/web",
      matches: false,
    },
    {
      name: "matches itself alone without a star",
      glob: "docker.io/acme/web",
      repository: "docker.io/acme/web2",
      matches: false,
    },
    {
      name: "does not read a dot as any character",
      glob: "docker.io/acme/w.b",
      repository: "docker.io/acme/web",
      matches: false,
    },
    {
      name: "compares host with port",
      glob: "reg.example:5000/*",
      repository: "reg.example/web",
      matches: false,
    },
    {
      name: "keeps a star in the host within the host",
      glob: "*.acme.io/web",
      repository: "evil.io/x.acme.io/web",
      matches: false,
    },
    {
      name: "matches a host by a star",
      glob: "*.acme.io/*",
      repository: "eu.acme.io/team/web",
      matches: true,
    },
    {
      name: "matches everything with a star on both sides",
      glob: "*/*",
      repository: "docker.io/library/nginx",
      matches: true,
    },
    {
      name: "normalises Docker Hub's host",
      glob: "index.docker.io/acme/*",
      repository: "docker.io/acme/web",
      matches: true,
    },
    {
      name: "knows Docker Hub's official images",
      glob: "docker.io/nginx",
      repository: "docker.io/library/nginx",
      matches: true,
    },
    {
      name: "has a host that is not case-sensitive",
      glob: "GCR.io/acme/*",
      repository: "gcr.io/acme/web",
      matches: true,
    },
  ])("$name", ({ glob, repository: name, matches }) => {
    expect(RepositoryGlob.safeParse(glob).success).toBe(true);
    expect(matcher([glob])(name)).toBe(matches);
  });

  it.each([
    ["no host", "acme/*", /docker\.io\//],
    ["an image's short name", "nginx", /docker\.io\//],
    ["a star alone", "*", /docker\.io\//],
    ["a tag", "docker.io/acme/web:v1", /tag or digest/],
    ["a digest", `docker.io/acme/web@sha256:${"0".repeat(64)}`, /tag or digest/],
    ["a scheme", "https://docker.io/acme/*", /scheme/],
    ["nothing", "", /empty/],
    ["spaces", "docker.io/acme/ web", /spaces/],
    ["a question mark", "docker.io/acme/web?", /only `\*`/],
    ["alternatives", "docker.io/{acme,other}/*", /only `\*`/],
    ["capital letters in the path", "docker.io/Acme/*", /capital/],
    ["an empty segment", "docker.io//web", /no repository name/],
    ["a slash at the end", "docker.io/acme/", /no repository name/],
  ])("is refused when it has %s", (_name, glob, reason) => {
    const parsed = RepositoryGlob.safeParse(glob);
    expect(parsed.success).toBe(false);
    expect(parsed.error?.issues[0]?.message).toMatch(reason);
  });

  it("is a repository's own matcher when it is that repository", () => {
    fc.assert(fc.property(repository, repository, (one, other) => matcher([one])(other) === (one === other)));
  });

  it("still matches when any part of the path after the host is replaced by a star", () => {
    fc.assert(
      fc.property(repository, fc.nat(), fc.nat(), (name, from, length) => {
        const path = name.indexOf("/") + 1;
        const start = path + (from % (name.length - path));
        const glob = `${name.slice(0, start)}*${name.slice(start + (length % (name.length - start + 1)))}`;
        return matcher([glob])(name);
      }),
    );
  });

  it("matches exactly when one of several does", () => {
    const glob = fc.oneof(
      repository,
      repository.map((name) => `${name.slice(0, name.lastIndexOf("/"))}/*`),
    );
    fc.assert(
      fc.property(fc.array(glob, { maxLength: 5 }), repository, (globs, name) => {
        expect(matcher(globs)(name)).toBe(globs.some((each) => matcher([each])(name)));
      }),
    );
  });
});
