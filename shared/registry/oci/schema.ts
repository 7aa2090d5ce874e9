import * as z from "zod/mini";
import { DigestText } from "../../domain/push.ts";

const ociIndex = "application/vnd.oci.image.index.v1+json";
const ociManifest = "application/vnd.oci.image.manifest.v1+json";
const dockerList = "application/vnd.docker.distribution.manifest.list.v2+json";
const dockerManifest = "application/vnd.docker.distribution.manifest.v2+json";

const manifestTypes = new Set([ociIndex, dockerList, ociManifest, dockerManifest]);

/**
 * Sent with every manifest call: with fewer types a registry answers 404, another platform's manifest, or one that
 * it makes up, each with a digest of its own.
 */
export const acceptEveryManifest = [...manifestTypes].join(", ");

export function isManifestType(mediaType: string): boolean {
  return manifestTypes.has(mediaType);
}

export function isIndexType(mediaType: string): boolean {
  return mediaType === ociIndex || mediaType === dockerList;
}

/** As indexes have it; an image's configuration names its platform in the same words beside everything else. */
export const WirePlatform = z.object({
  os: z.optional(z.string()),
  architecture: z.optional(z.string()),
  variant: z.optional(z.string()),
});
export type WirePlatform = z.infer<typeof WirePlatform>;

/** https://github.com/opencontainers/image-spec/blob/v1.1.0/image-index.md; Docker's manifest list has the same shape. */
export const ImageIndex = z.object({
  manifests: z.array(z.object({ platform: z.nullish(WirePlatform) })),
});

/** https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md */
export const ImageManifest = z.object({ config: z.object({ digest: DigestText }) });

/** A manifest that was sent without a Content-Type may name its type itself. */
export const SelfDescribed = z.object({ mediaType: z.string() });

/** `tags` is null once the last tag is gone. */
export const TagList = z.object({ tags: z.nullish(z.array(z.string())) });

/** https://distribution.github.io/distribution/spec/auth/token/ */
export const TokenAnswer = z.object({
  token: z.optional(z.string()),
  access_token: z.optional(z.string()),
  /** Seconds. */
  expires_in: z.optional(z.number()),
});

export const ErrorAnswer = z.object({
  errors: z.array(z.object({ code: z.string(), message: z.optional(z.string()) })),
});
