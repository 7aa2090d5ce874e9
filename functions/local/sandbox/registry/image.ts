import { gzipSync } from "node:zlib";
import type { Digest } from "../../../../shared/domain/reference.ts";
import type { Platform } from "../../../../shared/domain/workload.ts";
import { digestOf } from "./store.ts";

export const mediaTypes = {
  ociIndex: "application/vnd.oci.image.index.v1+json",
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  dockerList: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
} as const;
export type ImageMediaType = (typeof mediaTypes)[keyof typeof mediaTypes];

export interface ImageOptions {
  /** Text in the image's one layer: another text is another digest. */
  readonly content: string;
  /** What the image runs, `config.Cmd` of its configuration: `["exit", "1"]`, `["unhealthy"]` and `["no-such-program"]` fail in the sandbox, all else runs for ever. */
  readonly command?: readonly string[];
  /** Default Docker's manifest, or its list when there are several platforms. */
  readonly mediaType?: ImageMediaType;
  /** Default linux/amd64. */
  readonly platforms?: readonly Platform[];
}

interface BuiltManifest {
  readonly digest: Digest;
  readonly mediaType: ImageMediaType;
  readonly bytes: Buffer;
}

/** All that a push sends, in the order it sends it. */
export interface BuiltImage {
  readonly blobs: readonly Buffer[];
  /** Manifests of the single platforms, when `manifest` is an index. */
  readonly children: readonly BuiltManifest[];
  readonly manifest: BuiltManifest;
}

const defaultPlatform: Platform = { os: "linux", architecture: "amd64" };
const blobTypes = {
  docker: {
    config: "application/vnd.docker.container.image.v1+json",
    layer: "application/vnd.docker.image.rootfs.diff.tar.gzip",
  },
  oci: {
    config: "application/vnd.oci.image.config.v1+json",
    layer: "application/vnd.oci.image.layer.v1.tar+gzip",
  },
};

/** Builds a real image of one layer that holds one small file; the same options give the same digests. */
export function buildImage(options: ImageOptions): BuiltImage {
  const platforms = options.platforms ?? [defaultPlatform];
  const mediaType =
    options.mediaType ?? (platforms.length === 1 ? mediaTypes.dockerManifest : mediaTypes.dockerList);
  const oci = mediaType === mediaTypes.ociIndex || mediaType === mediaTypes.ociManifest;
  const types = oci ? blobTypes.oci : blobTypes.docker;
  const tar = tarOf("content.txt", Buffer.from(options.content));
  const layer = gzipSync(tar);

  const built = platforms.map((platform) => {
    const config = encode({
      ...platform,
      created: "1970-01-01T00:00:00Z",
      config: { Cmd: options.command ?? ["sleep", "infinity"] },
      rootfs: { type: "layers", diff_ids: [digestOf(tar)] },
      history: [{ created: "1970-01-01T00:00:00Z", created_by: "COPY content.txt /" }],
    });
    const type = oci ? mediaTypes.ociManifest : mediaTypes.dockerManifest;
    const manifest = manifestOf(type, {
      config: { mediaType: types.config, size: config.length, digest: digestOf(config) },
      layers: [{ mediaType: types.layer, size: layer.length, digest: digestOf(layer) }],
    });
    return { platform, config, manifest };
  });

  const [only] = built;
  const single = mediaType === mediaTypes.dockerManifest || mediaType === mediaTypes.ociManifest;
  if (single && (only === undefined || built.length > 1)) {
    throw new TypeError(`${mediaType} is for exactly one platform`);
  }
  return {
    blobs: [layer, ...built.map(({ config }) => config)],
    children: single ? [] : built.map(({ manifest }) => manifest),
    manifest:
      single && only !== undefined
        ? only.manifest
        : manifestOf(mediaType, {
            manifests: built.map(({ platform, manifest }) => ({
              mediaType: manifest.mediaType,
              size: manifest.bytes.length,
              digest: manifest.digest,
              platform,
            })),
          }),
  };
}

function manifestOf(mediaType: ImageMediaType, body: object): BuiltManifest {
  const bytes = encode({ schemaVersion: 2, mediaType, ...body });
  return { digest: digestOf(bytes), mediaType, bytes };
}

/** Indented as `docker push` writes it: who re-encodes a manifest changes its digest. */
function encode(value: object): Buffer {
  return Buffer.from(JSON.stringify(value, undefined, 3));
}

/** A tar archive of one file (POSIX ustar), without owner and time. */
function tarOf(name: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write("0000644\0", 100);
  header.write("0000000\0", 108);
  header.write("0000000\0", 116);
  header.write(`${content.length.toString(8).padStart(11, "0")}\0`, 124);
  header.write("00000000000\0", 136);
  header.write("        0", 148);
  header.write("ustar\x0000", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  const padding = Buffer.alloc((512 - (content.length % 512)) % 512);
  return Buffer.concat([header, content, padding, Buffer.alloc(1024)]);
}
