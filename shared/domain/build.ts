import * as z from "zod/mini";
import { isCommit } from "./commit.ts";
import { DigestText } from "./push.ts";
import { isTag, parseReference, type Repository } from "./reference.ts";

const Text = z.string().check(z.maxLength(2_000));
const Repo = z.custom<Repository>(
  (text) => repositoryIn(text) === text,
  "expected a repository with its host, without tag and digest, e.g. `gcr.io/acme/api`",
);
const Tag = z.custom<string>(isTag, "expected a tag");
const FullCommit = z.custom<string>(isCommit, "expected a full commit id: 40 or 64 lower-case hex digits");

/**
 * An image that CI has built and pushed. Where its git repository is, and who may read it, comes from the configuration:
 * `repo` is only shown to people.
 */
export const ImageBuild = z.object({
  kind: z.literal("build"),
  image: Repo,
  tag: Tag,
  digest: z.optional(DigestText),
  commit: z.optional(FullCommit),
  branch: z.optional(Text),
  repo: z.optional(Text),
  /** RFC 3339. Never used to order builds. */
  builtAt: z.optional(Text),
  buildUrl: z.optional(Text),
  /** Built from a working copy with changes that are in no commit. */
  dirty: z.optional(z.boolean()),
});
export type ImageBuild = z.infer<typeof ImageBuild>;

/**
 * A build as CI publishes it, in the form of a message: `{"image","tag","commit",…}` or `{"image_name","tag","repo"}`,
 * whose tag is the commit. `undefined`: the value is no build at all; what is wrong with one that is, its schema tells.
 */
export function asBuild(json: unknown): unknown {
  if (typeof json !== "object" || json === null || "kind" in json) return undefined;
  if (!("image" in json || "image_name" in json)) return undefined;
  const { image_name: name, ...rest } = json as {
    readonly image_name?: unknown;
    readonly [key: string]: unknown;
  };
  const image = rest.image ?? name;
  const commit = rest.commit ?? (isCommit(rest.tag) ? rest.tag : undefined);
  return {
    ...rest,
    kind: "build",
    image: repositoryIn(image) ?? image,
    ...(commit === undefined ? {} : { commit }),
  };
}

/** `gcr.io/acme/api` as it is, `acme/api` with Docker Hub's host; `undefined` for what has a tag, a digest or no sense. */
function repositoryIn(text: unknown): Repository | undefined {
  if (typeof text !== "string" || text.includes("@")) return undefined;
  const read = parseReference(`${text}:any`);
  return read.kind === "reference" && read.reference.tag === "any" ? read.reference.repository : undefined;
}
