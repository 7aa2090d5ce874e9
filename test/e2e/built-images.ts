import type { Digest } from "../../shared/domain/reference.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const schema2 = "application/vnd.docker.distribution.manifest.v2+json";

/** An image of the open registry, ready to be pushed to any number of repositories there. */
interface MadeImage {
  readonly from: string;
  readonly digest: Digest;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly blobs: readonly string[];
}

/** Images by the names that a test gives them, each with another digest. */
export interface MadeImages {
  of(name: string): MadeImage;
  digest(name: string): Digest;
  /** @throws Error unless one of them has that digest */
  named(digest: string | undefined): string;
}

/** @param path where they are made, e.g. `e2e/template` */
export async function makeImages(path: string, names: readonly string[]): Promise<MadeImages> {
  const made = new Map<string, MadeImage>();
  for (const name of names) {
    const digest = await bed.pushImage(path, name, { labels: { commit: name, made: path } });
    const answer = await fetch(`http://${bed.registry}/v2/${path}/manifests/${digest}`, {
      headers: { accept: schema2 },
    });
    const bytes = new Uint8Array(await answer.arrayBuffer());
    const { config, layers } = JSON.parse(Buffer.from(bytes).toString("utf8")) as {
      readonly config: { readonly digest: string };
      readonly layers: readonly { readonly digest: string }[];
    };
    const blobs = [config, ...layers].map((blob) => blob.digest);
    made.set(name, { from: path, digest, bytes, blobs });
  }
  const of = (name: string) => {
    const image = made.get(name);
    if (image === undefined) throw new Error(`no image was made for ${name}`);
    return image;
  };
  return {
    of,
    digest: (name) => of(name).digest,
    named: (digest) => {
      const [name] = [...made].find(([, image]) => image.digest === digest) ?? [];
      if (name === undefined) throw new Error(`no image of ours has the digest ${digest}`);
      return name;
    },
  };
}

/** Pushes an image to another repository of the registry, as `docker push` does where all blobs are there already. */
export async function pushMade(image: MadeImage, path: string, tag: string): Promise<void> {
  const api = `http://${bed.registry}/v2/${path}`;
  for (const blob of image.blobs) {
    await created(`${api}/blobs/uploads/?mount=${blob}&from=${image.from}`, { method: "POST" });
  }
  const headers = { "content-type": schema2 };
  await created(`${api}/manifests/${tag}`, { method: "PUT", headers, body: image.bytes });
}

async function created(url: string, init: RequestInit): Promise<void> {
  const { status } = await fetch(url, init);
  if (status !== 201) throw new Error(`${init.method} ${url}: ${status}`);
}

/** Where a tag of the open registry points; `undefined`: there is none. */
export async function taggedDigest(path: string, tag: string): Promise<string | undefined> {
  const answer = await fetch(`http://${bed.registry}/v2/${path}/manifests/${tag}`, {
    method: "HEAD",
    headers: { accept: schema2 },
  });
  return answer.headers.get("docker-content-digest") ?? undefined;
}
