import * as z from "zod/mini";
import { imagePush, locate, readTag } from "./image.ts";
import type { Source } from "./source.ts";
import { asciiLower, instantOfSeconds, OptionalText } from "./wire.ts";

const Delivery = z.object({
  repository: z.object({ repo_name: OptionalText, namespace: OptionalText, name: OptionalText }),
  push_data: z.object({
    tag: z.string(),
    pusher: OptionalText,
    pushed_at: z.optional(z.unknown()),
    media_type: OptionalText,
  }),
});

/**
 * Docker Hub's webhook: a tag of one repository moved. It has no digest, no signature and no delivery id, and one
 * push of a multi-platform image has been seen as six identical deliveries. `callback_url` is never called: it
 * comes from the payload, and Docker no longer supports it.
 * @see https://docs.docker.com/docker-hub/repos/manage/webhooks/
 */
export const dockerhub: Source = {
  name: "dockerhub",
  signs: false,
  authenticate: () => false,
  classify(_headers, body) {
    const delivery = Delivery.safeParse(body);
    if (!delivery.success) {
      return { outcome: "reject", error: "`repository` and `push_data.tag` are required" };
    }
    const { repository, push_data: push } = delivery.data;
    const at = locate("docker.io", nameOf(repository) ?? "");
    if (at === undefined) {
      return { outcome: "reject", error: "`repository.repo_name` names no Docker Hub repository" };
    }
    if (asciiLower(push.media_type ?? "").startsWith("application/vnd.cncf.helm.")) {
      return { outcome: "ignore", reason: "not-an-image" };
    }
    const tag = readTag(push.tag);
    if (tag.kind !== "tag") return { outcome: "ignore", reason: tag.kind };
    const reported = { pusher: push.pusher, pushedAt: instantOfSeconds(push.pushed_at) };
    return { outcome: "accept", images: [imagePush("dockerhub", at, tag, reported)] };
  },
};

function nameOf(repository: z.infer<typeof Delivery>["repository"]): string | undefined {
  const { repo_name: whole, namespace, name } = repository;
  return whole ?? (namespace === undefined || name === undefined ? undefined : `${namespace}/${name}`);
}
