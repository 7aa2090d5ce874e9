import * as z from "zod/mini";
import { described } from "../described.ts";
import { PolicyText } from "../domain/policy.ts";
import { isTag } from "../domain/reference.ts";
import { RepositoryGlob } from "../domain/repository-glob.ts";
import { reviewTags, TagRegexText } from "../domain/tag-regex.ts";
import { Duration } from "./duration.ts";

const Tag = z.custom<string>(isTag, "is no tag; use letters, digits and . _ -");

const Git = z.strictObject({
  url: described(
    z
      .string()
      .check(
        z.refine(
          isRepositoryUrl,
          "is no address of a git repository; write `https://HOST/PATH` without user, password, `?` and `#`",
        ),
      ),
    "The git repository that the image is built from, e.g. `https://github.com/acme/api`. Credentials stand under `git`.",
  ),
  branch: described(
    z
      .string()
      .check(z.refine(isBranch, "is no name of a branch; write it without `refs/heads/`, e.g. `main`")),
    "Only commits on this branch are deployed.",
  ),
  rebuilds: described(
    z._default(z.boolean(), true),
    "Whether a commit that is built again with another result is deployed again.",
  ),
});

const Channel = z
  .strictObject({
    tag: described(Tag, "The tag that Landfall owns and moves forward, e.g. `prod`."),
    targets: described(
      z.optional(
        z.array(z.string()).check(z.minLength(1, "is empty; name at least one target, or leave it away")),
      ),
      "Targets whose workloads on this tag are deployed; without it all.",
    ),
    after: described(z.optional(Tag), "The channel whose workloads must have proven a digest first."),
    soak: described(
      z.optional(Duration),
      "How long a digest must have run well on every workload of that channel, e.g. `30m`.",
    ),
    by: described(
      z.optional(z.literal("hand")),
      "`hand`: it moves only by `landfall promote IMAGE CHANNEL`. Without it: by itself.",
    ),
  })
  .check((context) => {
    const { soak, after, by } = context.value;
    if (soak === undefined) return;
    const problem = (message: string) =>
      context.issues.push({ code: "custom", message, path: ["soak"], input: context.value });
    if (after === undefined) problem("needs `after`: the channel that the digest has to run on");
    if (by === "hand") problem("has no effect beside `by: hand`; leave one of the two away");
  });

/** One entry of `images`: what holds for images with an order or rules of their own. The first that matches counts. */
export const ImageConfig = z.strictObject({
  image: described(
    RepositoryGlob,
    "The repository, with its registry's host; `*` stands for any characters.",
  ),
  git: described(z.optional(Git), "Where the commits are that give its builds their order."),
  channels: described(z._default(z.array(Channel), []), "Tags that Landfall owns, earlier ones first."),
  policy: described(
    z.optional(PolicyText),
    "How workloads follow the image, unless their label `landfall.policy` says otherwise.",
  ),
  ignoreTags: described(
    z._default(z.array(TagRegexText), [reviewTags]),
    "Regular expressions of tags that are never deployed; without it builds of changes under review (`1234_5`).",
  ),
});
export type ImageConfig = z.infer<typeof ImageConfig>;

/** The host of a git repository may be reached without TLS only where the configuration says so for that host. */
function isRepositoryUrl(text: string): boolean {
  const url = URL.parse(text);
  return (
    url !== null &&
    ["https:", "http:"].includes(url.protocol) &&
    `${url.username}${url.password}${url.search}${url.hash}` === "" &&
    url.pathname.length > 1
  );
}

function isBranch(text: string): boolean {
  return /^(?!refs\/|[-/.])(?!.*(?:\.\.|\/\/|@\{|\.lock$|[/.]$))[^\s~^:?*[\\\p{Cc}]{1,200}$/u.test(text);
}
