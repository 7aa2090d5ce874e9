import Range from "semver/classes/range.js";
import SemVer from "semver/classes/semver.js";
import type { Policy } from "../../domain/policy.ts";
import { exactVersion, namesPreRelease } from "../../domain/version-range.ts";
import { ordered } from "./ordered.ts";
import type { TagRules } from "./tag-rules.ts";

/** A version, perhaps a `v` before it and a commit behind it, as CI appends it: `v1.4.0-rc.1_3f2c1d0`. */
const form = new RegExp(`^v?(${exactVersion})(?:_[0-9a-f]{4,64})?$`);

/** The highest version of an npm range. Pre-releases take part where the range names one of the same version. */
export function semver({ range }: Policy & { kind: "semver" }): TagRules {
  const versions = new Range(range);
  const knowsPreReleases = namesPreRelease(range);
  return ordered<SemVer>({
    read: (tag) => {
      const text = form.exec(tag)?.[1];
      return text === undefined ? undefined : new SemVer(text);
    },
    compare: (one, other) => one.compare(other),
    refusal: (version, tag) => (versions.test(version) ? undefined : `${tag} is not in the range ${range}`),
    // It may as well be a variant such as 1.25.3-alpine, and 1.25.4 another system altogether.
    doubt: (version) =>
      version.prerelease.length > 0 && !knowsPreReleases
        ? `is a pre-release or a variant, and the range ${range} names none`
        : undefined,
    wants: "a whole version such as v1.4.2",
  });
}
