import * as z from "zod/mini";
import type { IgnoreReason } from "../domain/push.ts";
import { parseRepository } from "../domain/reference.ts";
import { bearerToken, sameSecret } from "./hook-secret.ts";
import { imagePush, readTag } from "./image.ts";
import type { Source } from "./source.ts";
import { asciiLower, OptionalText } from "./wire.ts";

const Build = z.object({ image_name: z.string(), tag: z.string(), repo: OptionalText });

/**
 * Landfall's own message, for a CI job that pushed an image: `{"image_name":"gcr.io/acme/api","tag":"…","repo":"…"}`.
 * `image_name` has no tag and no digest; without a host it is Docker Hub's, as for `docker`.
 */
export const native: Source = {
  name: "native",
  signs: true,
  authenticate: ({ headers }, secret) => sameSecret(bearerToken(headers), secret),
  classify(_headers, body) {
    const build = Build.safeParse(body);
    if (!build.success) return { outcome: "reject", error: "`image_name` and `tag` are required, as texts" };
    const at = parseRepository(asciiLower(build.data.image_name));
    if (at.kind === "invalid") {
      return { outcome: "reject", error: "`image_name` is not host/path without tag and digest" };
    }
    const tag = readTag(build.data.tag);
    if (tag.kind !== "tag") return { outcome: "ignore", reason: tag.kind };
    const reason = notForDeployment(tag.tag);
    if (reason !== undefined) return { outcome: "ignore", reason };
    return {
      outcome: "accept",
      images: [imagePush("native", at.repository, tag, { repoUrl: build.data.repo })],
    };
  },
};

/** Builds of a change under review (`1234_5`) and of a working copy; other tags may contain an underscore. */
function notForDeployment(tag: string): IgnoreReason | undefined {
  if (/^\d+_\d+$/.test(tag)) return "tryjob";
  return tag.endsWith("-dirty") ? "dirty" : undefined;
}
