import type { Config } from "../../shared/config/schema.ts";
import type { ImageRule } from "../../shared/decide/rules.ts";
import type { Repository } from "../../shared/domain/reference.ts";
import { matcher } from "../../shared/domain/repository-glob.ts";
import { tagMatcher } from "../../shared/domain/tag-regex.ts";

/** What the configuration says of each image; of several entries that match, the first. */
export function imageRules({
  images,
  defaults,
}: Pick<Config, "images" | "defaults">): (repository: Repository) => ImageRule {
  const otherwise: ImageRule = { channels: [], policy: defaults.policy, ignores: () => false };
  const entries = images.map(({ image, git, channels, policy, ignoreTags }) => {
    const rule: ImageRule = {
      ...(git === undefined ? {} : { git }),
      channels: channels.map(({ tag, targets, after, soak, by }) => ({
        tag,
        ...(targets === undefined ? {} : { targets }),
        ...(after === undefined ? {} : { after }),
        soakMs: soak ?? 0,
        byHand: by === "hand",
      })),
      policy: policy ?? defaults.policy,
      ignores: tagMatcher(ignoreTags),
    };
    return { matches: matcher([image]), rule };
  });
  return (repository) => entries.find(({ matches }) => matches(repository))?.rule ?? otherwise;
}
