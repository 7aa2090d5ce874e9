import * as z from "zod/mini";
import { described } from "../described.ts";

const keys = {
  host: described(
    z
      .string()
      .check(
        z.overwrite(normaliseGitHost),
        z.refine(isGitHost, "is no host; expected one as git URLs have it, e.g. `git.acme.io:8443`"),
      ),
    "The host as in the `git.url` of images, port included. Credentials are for exactly this host.",
  ),
  url: z.optional(
    described(
      z
        .string()
        .check(
          z.refine(
            isBase,
            "is no address; expected http:// or https://, a host, perhaps a path, and nothing after it",
          ),
        ),
      "Where Landfall itself reaches the host's API or repositories, if elsewhere, e.g. `https://git.internal/api/v3`.",
    ),
  ),
  plainHttp: z.optional(
    described(z.boolean(), "Whether the host is asked by http instead of https; tokens are then readable."),
  ),
  ca: z.optional(described(secretTemplate(), "Certificates (PEM) to trust instead of the system's.")),
};

const username = z.optional(
  described(secretTemplate(), "The user that the token belongs to, where the host asks for one."),
);

function token(what: string) {
  return z.optional(
    described(secretTemplate(), `${what}, e.g. \`\${GIT_TOKEN}\` or \`\${file:/secrets/git}\`.`),
  );
}

const GithubConfig = z
  .strictObject({
    kind: described(z.literal("github"), "GitHub or GitHub Enterprise Server, by its REST API."),
    ...keys,
    token: token("A token that may read the contents of the repositories"),
  })
  .check(plainUrl());

const GitilesConfig = z
  .strictObject({
    kind: described(z.literal("gitiles"), "Gitiles, as on googlesource.com or beside Gerrit."),
    ...keys,
    username,
    token: token("An OAuth access token, or with `username` its password"),
  })
  .check(plainUrl(), wholePair());

const GitConfig = z
  .strictObject({
    kind: described(z.literal("git"), "Any other git server: smart HTTP, protocol version 2."),
    ...keys,
    username,
    token: token("A token or password that may read the repositories"),
  })
  .check(plainUrl(), wholePair());

/** One entry of `git`. Texts that may hold secrets stay templates; they are resolved where they are used. */
export const GitHostConfig = z.discriminatedUnion("kind", [GithubConfig, GitilesConfig, GitConfig]);
export type GitHostConfig = z.infer<typeof GitHostConfig>;

/** A host as `URL` writes it: in lower case, and without the port that https has anyway. Anything else stays as it is. */
export function normaliseGitHost(host: string): string {
  const url = /[/?#@\\\s]/.test(host) ? null : URL.parse(`https://${host}`);
  return url?.host ?? host;
}

function isGitHost(host: string): boolean {
  return URL.parse(`https://${host}`)?.host === host;
}

function isBase(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) return false;
  return `${url.username}${url.password}${url.search}${url.hash}` === "" && !/[?#]/.test(text);
}

function plainUrl() {
  return z.refine<{ readonly url?: string | undefined; readonly plainHttp?: boolean | undefined }>(
    ({ url, plainHttp }) => plainHttp === true || url === undefined || !/^http:/i.test(url),
    { path: ["url"], error: "is http://, which needs `plainHttp: true` beside it" },
  );
}

function wholePair() {
  return z.refine<{ readonly username?: string | undefined; readonly token?: string | undefined }>(
    ({ username, token }) => username === undefined || token !== undefined,
    { path: ["token"], error: "is missing beside `username`" },
  );
}

function secretTemplate() {
  return z.string().check(z.minLength(1, "is empty"));
}
