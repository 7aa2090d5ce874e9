import * as z from "zod/mini";
import { described } from "../described.ts";
import { hostOf, normaliseHost, parseRepository } from "../domain/reference.ts";

const NodeCredentials = z.union([
  z.enum(["keep", "same"]),
  z.strictObject({
    username: described(secretTemplate(), "The user that nodes pull as."),
    password: described(secretTemplate(), "The password or token that nodes pull with."),
  }),
]);

/**
 * One entry of `registries`. Texts that may hold secrets stay templates, e.g. `${file:/secrets/dockerhub}`; they are
 * resolved where they are used.
 */
export const RegistryConfig = z
  .strictObject({
    host: described(
      z
        .string()
        .check(
          z.overwrite(normaliseHost),
          z.refine(
            isRegistryHost,
            "is no registry host; expected one as image names have it, e.g. `reg.example:5000`",
          ),
        ),
      "The registry's host as image names have it, port included; every spelling of Docker Hub is `docker.io`.",
    ),
    username: z.optional(described(secretTemplate(), "The user that Landfall asks the registry as.")),
    password: z.optional(
      described(
        secretTemplate(),
        "Its password or token, e.g. `${REGISTRY_TOKEN}` or `${file:/secrets/registry}`.",
      ),
    ),
    nodes: described(
      z._default(NodeCredentials, "keep"),
      "What nodes pull with: `keep` what the workload has, the `same` pair as Landfall, or a pair of their own.",
    ),
    plainHttp: z.optional(described(z.boolean(), "Whether the registry is asked by http instead of https.")),
    url: z.optional(
      described(
        z
          .string()
          .check(
            z.refine(isOrigin, "is no origin; expected http:// or https://, a host and nothing after it"),
          ),
        "Where Landfall itself reaches the registry, if elsewhere, e.g. `https://registry.internal:5000`.",
      ),
    ),
    ca: z.optional(
      described(
        secretTemplate(),
        "Certificates (PEM) to trust instead of the system's, for the registry, its token server and its storage.",
      ),
    ),
  })
  .check(
    z.refine(({ username, password }) => username === undefined || password !== undefined, {
      path: ["password"],
      error: "is missing beside `username`",
    }),
    z.refine(({ username, password }) => password === undefined || username !== undefined, {
      path: ["username"],
      error: "is missing beside `password`",
    }),
    z.refine(({ nodes, username }) => nodes !== "same" || username !== undefined, {
      path: ["nodes"],
      error: "is `same`, which needs a username and a password beside it",
    }),
    z.refine(({ url, plainHttp }) => plainHttp === true || url === undefined || !url.startsWith("http:"), {
      path: ["url"],
      error: "is http://, which needs `plainHttp: true` beside it",
    }),
  );
export type RegistryConfig = z.infer<typeof RegistryConfig>;

function isRegistryHost(host: string): boolean {
  const parsed = parseRepository(`${host}/name`);
  return parsed.kind === "repository" && hostOf(parsed.repository) === host;
}

function isOrigin(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && (text === url.origin || text === `${url.origin}/`);
}

function secretTemplate() {
  return z.string().check(z.minLength(1, "is empty"));
}
