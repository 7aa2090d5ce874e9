import { randomUUID } from "node:crypto";
import * as z from "zod/mini";
import { DigestText } from "../../../../shared/domain/push.ts";
import { type Digest, isDigest } from "../../../../shared/domain/reference.ts";
import type { Answer } from "./faults.ts";
import { mediaTypes } from "./image.ts";
import { type Call, empty, failure, failures } from "./protocol.ts";
import { digestOf, type RegistryStore, type StoredManifest } from "./store.ts";

const Descriptor = z.object({ digest: DigestText });
const ManifestBody = z.object({
  mediaType: z.optional(z.string()),
  config: z.optional(Descriptor),
  layers: z.optional(z.array(Descriptor)),
  manifests: z.optional(
    z.array(
      z.object({
        digest: DigestText,
        platform: z.nullish(z.object({ os: z.optional(z.string()), architecture: z.optional(z.string()) })),
      }),
    ),
  ),
});

const schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
const ociNames: Readonly<Record<string, string>> = {
  [mediaTypes.ociManifest]: "manifest",
  [mediaTypes.ociIndex]: "index",
};

/** GET and HEAD of a manifest: what is answered depends on what the client accepts, as in Distribution 2.8. */
export function readManifest(store: RegistryStore, name: string, reference: string, call: Call): Answer {
  const tagged = !reference.includes(":");
  if (!tagged && !isDigest(reference)) return failure(500, "UNKNOWN", "unknown error", {});
  const digest = isDigest(reference) ? reference : store.tagged(name, reference);
  const found = digest === undefined ? undefined : store.manifest(name, digest);
  if (found === undefined) {
    const detail = tagged ? { Tag: reference } : { Name: name, Revision: reference };
    return failure(404, "MANIFEST_UNKNOWN", tagged ? "manifest unknown" : "unknown manifest", detail);
  }
  if (call.header("if-none-match") === `"${found.digest}"`) return empty(304);

  const accepted = new Set(
    (call.header("accept") ?? "").split(",").map((type) => type.split(";")[0]?.trim()),
  );
  const oci = ociNames[found.mediaType];
  if (oci !== undefined && !accepted.has(found.mediaType)) {
    const plural = oci === "index" ? "indexes" : "manifests";
    return failure(
      404,
      "MANIFEST_UNKNOWN",
      `OCI ${oci} found, but accept header does not support OCI ${plural}`,
    );
  }
  if (!tagged || accepted.has(found.mediaType)) return manifestAnswer(found);
  const single = found.mediaType === mediaTypes.dockerList ? linuxChild(store, name, found) : found;
  if (single === undefined) return failure(404, "MANIFEST_UNKNOWN", "manifest unknown", { Tag: reference });
  return accepted.has(single.mediaType) ? manifestAnswer(single) : schema1Answer(name, reference);
}

/** PUT of a manifest: stored as it comes, once everything that it names is in this repository. */
export function writeManifest(
  store: RegistryStore,
  name: string,
  reference: string,
  call: Call,
): Answer | StoredManifest {
  const mediaType = call.header("content-type") ?? "";
  const body = readBody(call.body);
  const known = Object.values<string>(mediaTypes).includes(mediaType);
  if (!known || body === undefined || (body.mediaType ?? mediaType) !== mediaType) {
    return failure(400, "MANIFEST_INVALID", "manifest invalid", {});
  }
  if (reference.includes(":") && reference !== digestOf(call.body)) {
    return failure(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
  }
  const { config, layers = [], manifests = [] } = body;
  const missing = [
    ...[...(config === undefined ? [] : [config]), ...layers].filter(
      ({ digest }) => store.blob(name, digest) === undefined,
    ),
    ...manifests.filter(({ digest }) => store.manifest(name, digest) === undefined),
  ];
  if (missing.length > 0) {
    return failures(
      400,
      missing.map(({ digest }) => ({
        code: "MANIFEST_BLOB_UNKNOWN",
        message: "blob unknown to registry",
        detail: digest,
      })),
    );
  }
  return store.putManifest(name, mediaType, call.body, reference.includes(":") ? undefined : reference);
}

/** A manifest of the kind that registries make up for old clients: its body differs on each request. */
export function schema1Answer(name: string, tag: string): Answer {
  const payload = { schemaVersion: 1, name, tag, architecture: "amd64", fsLayers: [], history: [] };
  return {
    status: 200,
    headers: manifestHeaders(schema1, digestOf(Buffer.from(JSON.stringify(payload)))),
    body: Buffer.from(JSON.stringify({ ...payload, signatures: [{ signature: randomUUID() }] })),
  };
}

function manifestAnswer({ digest, mediaType, bytes }: StoredManifest): Answer {
  return { status: 200, headers: manifestHeaders(mediaType, digest), body: bytes };
}

function manifestHeaders(mediaType: string, digest: Digest): Record<string, string> {
  return { "content-type": mediaType, "docker-content-digest": digest, etag: `"${digest}"` };
}

function linuxChild(store: RegistryStore, name: string, list: StoredManifest): StoredManifest | undefined {
  const child = readBody(list.bytes)?.manifests?.find(
    ({ platform }) => platform?.os === "linux" && platform.architecture === "amd64",
  );
  return child === undefined ? undefined : store.manifest(name, child.digest);
}

function readBody(bytes: Buffer): z.infer<typeof ManifestBody> | undefined {
  try {
    return ManifestBody.parse(JSON.parse(bytes.toString("utf8")));
  } catch {
    return undefined;
  }
}
