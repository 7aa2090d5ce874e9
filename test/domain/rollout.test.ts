import { describe, expect, it } from "vitest";
import { type Line, raised, type WantedContainer } from "../../shared/domain/rollout.ts";

const wanted = (tag: string, generation: number, line?: Line): WantedContainer => ({
  repository: "docker.io/acme/web",
  tag,
  digest: `sha256:${"a".repeat(64)}`,
  generation,
  ...(line === undefined ? {} : { line }),
});

describe("what a rollout was observed with", () => {
  it.each<{ name: string; one: WantedContainer; by: WantedContainer; generation: number }>([
    { name: "the same tag later", one: wanted("v1", 2), by: wanted("v1", 5), generation: 5 },
    { name: "the same tag earlier", one: wanted("v1", 2), by: wanted("v1", 1), generation: 2 },
    {
      name: "another version with the same digest, whose numbers are its own",
      one: wanted("v1.3.0", 2, "version"),
      by: wanted("v1.3.1", 5, "version"),
      generation: 2,
    },
    {
      name: "the head, whose number counts for all its tags",
      one: wanted("c3", 2, "head"),
      by: wanted("c3-again", 3, "head"),
      generation: 3,
    },
    {
      name: "a tag that was followed in another way",
      one: wanted("v1.3.0", 2, "version"),
      by: wanted("v1.3.0", 5),
      generation: 2,
    },
  ])("is raised, or not, by $name", ({ one, by, generation }) => {
    const other = wanted("v1", 7);
    expect(raised({ web: one, proxy: other }, { web: by })).toEqual({
      web: { ...one, generation },
      proxy: other,
    });
  });
});
