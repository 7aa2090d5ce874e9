import * as z from "zod/mini";
import type { ImagePush } from "../domain/push.ts";
import { bearerToken, sameSecret } from "./hook-secret.ts";
import { imagePush, locate, readTag } from "./image.ts";
import { headerOf, type Source } from "./source.ts";
import { instantOf, OptionalText } from "./wire.ts";

const Envelope = z.object({ events: z.array(z.unknown()) });

/** What tells a push of an image from the events around it: blobs, pulls, deletions. */
const ManifestPush = z.object({
  id: OptionalText,
  timestamp: OptionalText,
  action: z.literal("push"),
  target: z.object({
    mediaType: z
      .string()
      .check(z.regex(/^application\/\S+(?:manifest\.v[12]|manifest\.list\.v2|index\.v1)\+json$/)),
    repository: z.string(),
    digest: OptionalText,
    tag: OptionalText,
  }),
  request: z.object({ host: z.string() }),
  actor: z.catch(z.optional(z.object({ name: OptionalText })), undefined),
});

type Reading =
  | { readonly kind: "image"; readonly image: ImagePush }
  | { readonly kind: "untagged" | "attached-artifact" | "not-a-push" };

/**
 * Notifications of the CNCF distribution registry (`registry:2`, `registry:3`, GitLab's). The registry repeats
 * anything but a 2xx for ever and holds later events up meanwhile, so nothing in an envelope is ever refused:
 * events that cannot be used are passed over.
 * @see https://distribution.github.io/distribution/about/notifications/
 */
export const distribution: Source = {
  name: "distribution",
  signs: true,
  authenticate({ headers }, secret) {
    const whole = sameSecret(headerOf(headers, "authorization") ?? "", secret);
    const bearer = sameSecret(bearerToken(headers), secret);
    return whole || bearer;
  },
  classify(_headers, body) {
    const envelope = Envelope.safeParse(body);
    const events = envelope.success ? envelope.data.events : [];
    const readings = events.map(readEvent);
    const images = withoutRepeats(
      readings.flatMap((reading) => (reading.kind === "image" ? [reading.image] : [])),
    );
    if (images.length > 0) return { outcome: "accept", images };
    const reason = (["attached-artifact", "untagged"] as const).find((kind) =>
      readings.some((reading) => reading.kind === kind),
    );
    return { outcome: "ignore", reason: reason ?? "not-a-push" };
  },
};

function readEvent(event: unknown): Reading {
  const push = ManifestPush.safeParse(event);
  if (!push.success) return { kind: "not-a-push" };
  const { id, timestamp, target, request, actor } = push.data;
  const tag = readTag(target.tag);
  if (tag.kind !== "tag") return tag;
  const at = locate(request.host, target.repository);
  if (at === undefined) return { kind: "not-a-push" };
  const reported = {
    digest: target.digest,
    pusher: actor?.name,
    pushedAt: instantOf(timestamp),
    deliveryId: id,
  };
  return { kind: "image", image: imagePush("distribution", at, tag, reported) };
}

/** Events without an id are all kept: nothing says that they are the same. */
function withoutRepeats(images: readonly ImagePush[]): readonly ImagePush[] {
  const seen = new Set<string>();
  return images.filter(({ deliveryId }) => {
    if (deliveryId === undefined) return true;
    const first = !seen.has(deliveryId);
    seen.add(deliveryId);
    return first;
  });
}
