import type { ImagePush } from "../domain/push.ts";
import {
  type Digest,
  hostOf,
  isDigest,
  isTag,
  pathOf,
  type Repository,
  repositoryAt,
} from "../domain/reference.ts";
import type { SourceName } from "./source.ts";
import { asciiLower } from "./wire.ts";

/** Signatures and attestations that cosign and the OCI referrers fallback keep beside an image. */
const attachedArtifact = /^sha256-[0-9a-f]{64}(?:\.(?:sig|att|sbom))?$/;
/** Exactly a SHA-1 or SHA-256 commit; shorter hashes are ordinary tags. */
const commitTag = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

export type TagReading =
  | { readonly kind: "tag"; readonly tag: string; readonly commit?: string }
  | { readonly kind: "untagged" | "attached-artifact" };

/** What a reported tag is. One that fails the grammar is none, and none never becomes `latest`. */
export function readTag(text: string | undefined): TagReading {
  if (!isTag(text)) return { kind: "untagged" };
  if (attachedArtifact.test(text)) return { kind: "attached-artifact" };
  return { kind: "tag", tag: text, ...(commitTag.test(text) ? { commit: text } : {}) };
}

/** The repository at a reported host, in its normal form; `undefined` when host or path are not spelled as such. */
export function locate(host: string, path: string): Repository | undefined {
  const at = repositoryAt(host, asciiLower(path));
  return at.kind === "repository" ? at.repository : undefined;
}

/** What a source reports besides repository and tag. Digests and times that cannot be read are left away. */
export interface Reported {
  readonly digest?: string | undefined;
  readonly pusher?: string | undefined;
  readonly pushedAt?: string | undefined;
  readonly repoUrl?: string | undefined;
  readonly deliveryId?: string | undefined;
}

export function imagePush(
  source: SourceName,
  repository: Repository,
  tag: TagReading & { kind: "tag" },
  reported: Reported,
): ImagePush {
  const digest: Digest | undefined = isDigest(reported.digest) ? reported.digest : undefined;
  const { pusher, pushedAt, repoUrl, deliveryId } = reported;
  return {
    source,
    registry: hostOf(repository),
    repository: pathOf(repository),
    tag: tag.tag,
    ...(digest === undefined ? {} : { digest }),
    ...(pusher === undefined ? {} : { pusher }),
    ...(pushedAt === undefined ? {} : { pushedAt }),
    ...(tag.commit === undefined ? {} : { commit: tag.commit }),
    ...(repoUrl === undefined ? {} : { repoUrl }),
    ...(deliveryId === undefined ? {} : { deliveryId }),
  };
}
