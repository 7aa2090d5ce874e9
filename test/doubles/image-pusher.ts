import type { BuiltImage } from "../../functions/local/sandbox/registry/image.ts";
import { digestOf } from "../../functions/local/sandbox/registry/store.ts";

/**
 * Pushes an image over HTTP as `docker push` does: blobs, then manifests by digest, then the tag.
 * @param origin e.g. `http://127.0.0.1:5000`
 */
export async function pushImage(
  origin: string,
  path: string,
  tag: string,
  { blobs, children, manifest }: BuiltImage,
  authorization?: string,
): Promise<void> {
  const headers = authorization === undefined ? {} : { authorization };
  const call = async (url: string, init: RequestInit): Promise<Response> => {
    const answer = await fetch(url, { ...init, headers: { ...headers, ...init.headers } });
    if (!answer.ok) throw new Error(`${init.method} ${url}: ${answer.status} ${await answer.text()}`);
    return answer;
  };
  for (const blob of blobs) {
    const opened = await call(`${origin}/v2/${path}/blobs/uploads/`, { method: "POST" });
    const location = new URL(opened.headers.get("location") ?? "", origin);
    location.searchParams.set("digest", digestOf(blob));
    await call(location.href, { method: "PUT", body: new Uint8Array(blob) });
  }
  for (const { digest, mediaType, bytes } of [...children, manifest]) {
    const reference = digest === manifest.digest ? tag : digest;
    await call(`${origin}/v2/${path}/manifests/${reference}`, {
      method: "PUT",
      headers: { "content-type": mediaType },
      body: new Uint8Array(bytes),
    });
  }
}
