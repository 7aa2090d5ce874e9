import type { BuildView } from "../builds.ts";
import { table } from "./table.ts";
import { ago } from "./time.ts";
import { shortCommit, shortDigest } from "./words.ts";

/** One line a build; `NOW` marks the head, the channels that have it, and for whom it is held. */
export function renderBuilds(builds: readonly BuildView[], nowMs: number): string {
  return table(
    ["COMMIT", "TAG", "DIGEST", "HEARD", "OUTCOME", "NOW"],
    builds.map(({ commit, tag, digest, heardMs, outcome, isHead, channels, held }) => [
      commit === undefined ? "-" : shortCommit(commit),
      tag === commit ? "" : tag,
      shortDigest(digest),
      heardMs === undefined ? "" : ago(heardMs, nowMs),
      outcome ?? "-",
      [
        ...(isHead ? ["(head)"] : []),
        ...channels,
        ...(held.length === 0 ? [] : [`(held: ${held.join(", ")})`]),
      ].join(" "),
    ]),
  );
}
