import { createHash } from "node:crypto";
import { type Digest, parseReference, type Repository } from "../../../../shared/domain/reference.ts";
import type { Platform } from "../../../../shared/domain/workload.ts";
import type { NodeCredentials } from "./state.ts";

/**
 * How the engine and its nodes reach registries: the bytes of a manifest (by tag or digest) or of a blob.
 * `undefined`: not there. Throws when the registry refuses; the message is what the engine repeats.
 */
export type FetchContent = (
  kind: "manifests" | "blobs",
  repository: Repository,
  reference: string,
  credentials: NodeCredentials | undefined,
) => Promise<{ readonly mediaType: string; readonly bytes: Uint8Array } | undefined>;

export interface PulledImage {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly size: number;
  readonly platforms: readonly Platform[];
  /** From the configuration's `Cmd: ["exit", "<code>", "<ms after start>"]`; absent: it runs for ever. */
  readonly exit?: { readonly code: number; readonly afterMs: number };
  /** From `Cmd: ["unhealthy", "<ms after start>"]` or `["no-such-program"]`: its containers never come to run. */
  readonly neverRuns?: NeverRuns;
}

/** Why a container never comes to run, in the engine's words, and how long that takes, ms. */
export interface NeverRuns {
  readonly error: string;
  readonly afterMs: number;
}

const startError =
  "starting container failed: failed to create task for container: failed to create shim task: OCI runtime create failed: " +
  'runc create failed: unable to start container process: exec: "no-such-program": executable file not found in $PATH: unknown';
const unhealthy = "task: non-zero exit (137): dockerexec: unhealthy container";

interface ManifestJson {
  readonly config?: { readonly digest: string };
  readonly manifests?: readonly { readonly digest: string; readonly platform?: Platform }[];
}
interface ConfigJson extends Platform {
  readonly config?: { readonly Cmd?: readonly string[] };
}

/** Resolves an image name as a node would; `undefined` when the registry does not have it. */
export async function pull(
  content: FetchContent,
  image: string,
  credentials: NodeCredentials | undefined,
): Promise<PulledImage | undefined> {
  const parsed = parseReference(image);
  if (parsed.kind === "invalid") return undefined;
  const { repository, tag, digest } = parsed.reference;
  const read = (kind: "manifests" | "blobs", reference: string) =>
    content(kind, repository, reference, credentials);

  const top = await read("manifests", digest ?? tag ?? "latest");
  if (top === undefined) return undefined;
  const index = json<ManifestJson>(top.bytes);
  const children = index.manifests ?? [];
  const child = children.find((entry) => entry.platform?.architecture === "amd64") ?? children[0];
  const manifest = child === undefined ? top : await read("manifests", child.digest);
  const configDigest = manifest === undefined ? undefined : json<ManifestJson>(manifest.bytes).config?.digest;
  const blob = configDigest === undefined ? undefined : await read("blobs", configDigest);
  if (blob === undefined) return undefined;
  const config = json<ConfigJson>(blob.bytes);
  const [verb, ...words] = config.config?.Cmd ?? [];
  return {
    digest: `sha256:${createHash("sha256").update(top.bytes).digest("hex")}`,
    mediaType: top.mediaType,
    size: top.bytes.length,
    platforms:
      child === undefined
        ? [{ architecture: config.architecture, os: config.os }]
        : children.flatMap(({ platform }) => (platform === undefined ? [] : [platform])),
    ...behaviour(verb, words),
  };
}

function behaviour(
  verb: string | undefined,
  [first, second]: readonly string[],
): Pick<PulledImage, "exit" | "neverRuns"> {
  switch (verb) {
    case "exit":
      return { exit: { code: Number(first ?? 1), afterMs: Number(second ?? 0) } };
    case "unhealthy":
      return { neverRuns: { error: unhealthy, afterMs: Number(first ?? 0) } };
    case "no-such-program":
      return { neverRuns: { error: startError, afterMs: 0 } };
    default:
      return {};
  }
}

function json<T>(bytes: Uint8Array): T {
  return JSON.parse(Buffer.from(bytes).toString()) as T;
}
