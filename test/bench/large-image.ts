import { createCipheriv, createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import type { Digest } from "../../shared/domain/reference.ts";

const schema2 = "application/vnd.docker.distribution.manifest.v2+json";
const layerType = "application/vnd.docker.image.rootfs.diff.tar.gzip";
const contentBytes = 50 * 1024 * 1024;

interface Manifest {
  readonly config: object;
  readonly layers: readonly { readonly digest: string }[];
}

interface Config {
  readonly config: object;
  readonly rootfs: { readonly type: string; readonly diff_ids: readonly string[] };
}

export interface PushedImage {
  readonly digest: Digest;
  readonly manifestBytes: number;
}

/**
 * The base image with a layer of 50 MiB that does not compress, the same in every run, so that no registry fills up.
 * @param base `host/repository:tag`, on the same registry
 * @param repository without host
 * @returns pushes it under a tag, each time with another configuration and so with another digest
 */
export async function largeImage(
  base: string,
  repository: string,
): Promise<(tag: string) => Promise<PushedImage>> {
  const [, registry = "", from = "", baseTag = ""] = /^([^/]+)\/(.+):([^:]+)$/.exec(base) ?? [];
  const api = (path: string) => `http://${registry}/v2/${path}`;
  const accept = { headers: { accept: schema2 } };
  const manifest = (await (await answered(api(`${from}/manifests/${baseTag}`), accept)).json()) as Manifest;
  const { digest: configDigest } = manifest.config as { readonly digest: string };
  const config = (await (await answered(api(`${from}/blobs/${configDigest}`))).json()) as Config;
  const content = createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16)).update(
    Buffer.alloc(contentBytes),
  );
  const tar = tarOf("random", content);
  const layer = gzipSync(tar, { level: 0 });
  for (const { digest } of manifest.layers) {
    await answered(api(`${repository}/blobs/uploads/?mount=${digest}&from=${from}`), { method: "POST" });
  }
  await upload(layer);

  async function upload(bytes: Buffer): Promise<void> {
    const digest = digestOf(bytes);
    const there = await fetch(api(`${repository}/blobs/${digest}`), { method: "HEAD" });
    if (there.ok) return;
    const begun = await answered(api(`${repository}/blobs/uploads/`), { method: "POST" });
    const location = new URL(begun.headers.get("location") ?? "", api(""));
    location.searchParams.set("digest", digest);
    await answered(location.href, { method: "PUT", body: new Uint8Array(bytes) });
  }

  return async (tag) => {
    const { rootfs } = config;
    const own = Buffer.from(
      JSON.stringify({
        ...config,
        config: { ...config.config, Labels: { tag, run: String(process.pid) } },
        rootfs: { ...rootfs, diff_ids: [...rootfs.diff_ids, digestOf(tar)] },
        history: undefined,
      }),
    );
    await upload(own);
    const bytes = Buffer.from(
      JSON.stringify({
        ...manifest,
        config: { ...manifest.config, size: own.length, digest: digestOf(own) },
        layers: [...manifest.layers, { mediaType: layerType, size: layer.length, digest: digestOf(layer) }],
      }),
    );
    const headers = { "content-type": schema2 };
    const url = api(`${repository}/manifests/${tag}`);
    await answered(url, { method: "PUT", headers, body: new Uint8Array(bytes) });
    return { digest: digestOf(bytes), manifestBytes: bytes.length };
  };
}

/** A tar of one file: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html, ustar interchange format. */
function tarOf(name: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512);
  const owner = "0000644\0".concat("0000000\0", "0000000\0");
  const size = content.length.toString(8).padStart(11, "0");
  header.write(name, 0);
  header.write(`${owner}${size}\0${"0".repeat(11)}\0${" ".repeat(8)}0`, 100);
  header.write("ustar\0".concat("00"), 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  const padding = Buffer.alloc(((512 - (content.length % 512)) % 512) + 1024);
  return Buffer.concat([header, content, padding]);
}

function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

async function answered(url: string, init?: RequestInit): Promise<Response> {
  const answer = await fetch(url, init);
  if (!answer.ok) throw new Error(`${init?.method ?? "GET"} ${url}: ${answer.status}`);
  return answer;
}
