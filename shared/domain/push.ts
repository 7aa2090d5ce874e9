import * as z from "zod/mini";
import { type Digest, isDigest, isTag, type Repository } from "./reference.ts";

/** The sources that can report a push, by their name in routes and configuration. */
export const sourceNames = [
  "dockerhub",
  "github",
  "quay",
  "harbor",
  "acr",
  "artifactory",
  "gitea",
  "distribution",
  "gcr-pubsub",
  "cloudbuild-pubsub",
  "ecr",
  "native",
] as const;

export const DigestText = z.custom<Digest>(isDigest, "expected sha256: and 64 lower-case hex digits");
const TagText = z.custom<string>(isTag, "expected a tag");

/**
 * One image that a source says was pushed. `registry` is the host (port kept), `repository` the path below it;
 * `repositoryOf` joins them. Everything here is a hint: the registry's own answer decides.
 */
export const ImagePush = z.object({
  source: z.string(),
  registry: z.string(),
  repository: z.string(),
  tag: z.optional(TagText),
  digest: z.optional(DigestText),
  pusher: z.optional(z.string()),
  /** RFC 3339, UTC. Never used to order deployments. */
  pushedAt: z.optional(z.string()),
  commit: z.optional(z.string()),
  branch: z.optional(z.string()),
  repoUrl: z.optional(z.string()),
  deliveryId: z.optional(z.string()),
});
export type ImagePush = z.infer<typeof ImagePush>;

/** Why a well-formed delivery asks for nothing. `not-allowed`: this secret may not speak for that repository. */
export type IgnoreReason =
  | "ping"
  | "unknown-event"
  | "not-a-push"
  | "not-an-image"
  | "untagged"
  | "attached-artifact"
  | "pull-through-cache"
  | "not-success"
  | "no-image"
  | "tryjob"
  | "dirty"
  | "not-allowed";

/** What a source's classifier says of one delivery. */
export type Classification =
  | { readonly outcome: "accept"; readonly images: readonly ImagePush[] }
  | { readonly outcome: "ignore"; readonly reason: IgnoreReason }
  | { readonly outcome: "reject"; readonly error: string };

export function repositoryOf(push: ImagePush): Repository {
  return `${push.registry}/${push.repository}`;
}
