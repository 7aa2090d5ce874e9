import { parseRepository } from "../domain/reference.ts";
import { matcher, RepositoryGlob } from "../domain/repository-glob.ts";
import { listAt, type Path, valueAt } from "./path.ts";
import type { Problem } from "./problems.ts";

/** What no single key of `images` shows. Looks at the file as it was read. */
export function imageProblems(raw: unknown): readonly Problem[] {
  const targets = textsAt(raw, ["targets"], "name");
  return listAt(raw, ["images"]).flatMap((_, index) => [
    ...notFollowed(raw, ["images", index]),
    ...problemsOf(raw, ["images", index], targets),
  ]);
}

/** An entry for one repository that is never deployed. Of a pattern nobody can tell what it is to match. */
function notFollowed(raw: unknown, image: Path): readonly Problem[] {
  const name = valueAt(raw, [...image, "image"]);
  const follow = listAt(raw, ["follow"]).flatMap((glob) => {
    const parsed = RepositoryGlob.safeParse(glob);
    return parsed.success ? [parsed.data] : [];
  });
  if (typeof name !== "string" || name.includes("*") || follow.length === 0) return [];
  const parsed = parseRepository(name);
  if (parsed.kind === "invalid" || matcher(follow)(parsed.repository)) return [];
  return [{ path: [...image, "image"], text: "is matched by nothing in `follow`, so it is never deployed" }];
}

function problemsOf(raw: unknown, image: Path, targets: readonly string[]): readonly Problem[] {
  const hasGit = valueAt(raw, [...image, "git"]) !== undefined;
  const policy = valueAt(raw, [...image, "policy"]);
  const channels = textsAt(raw, [...image, "channels"], "tag");
  const problems: Problem[] = [];
  if (!hasGit && policy === "commit") {
    problems.push({ path: [...image, "policy"], text: "needs `git`: without it commits have no order" });
  }
  if (!hasGit && channels.length > 0) {
    problems.push({
      path: [...image, "channels"],
      text: "needs `git`: without it no build is newer than another",
    });
  }
  for (const [index, tag] of channels.entries()) {
    const path = [...image, "channels", index];
    if (tag !== "" && channels.indexOf(tag) < index) {
      problems.push({
        path: [...path, "tag"],
        text: `is the same as channels[${channels.indexOf(tag)}].tag; each stands once`,
      });
    }
    const after = valueAt(raw, [...path, "after"]);
    if (typeof after === "string" && !channels.slice(0, index).includes(after)) {
      problems.push({
        path: [...path, "after"],
        text: "names no channel of this image that stands before this one",
      });
    }
    for (const [place, name] of listAt(raw, [...path, "targets"]).entries()) {
      if (typeof name !== "string" || targets.includes(name)) continue;
      problems.push({ path: [...path, "targets", place], text: "names no entry of `targets`" });
    }
  }
  return problems;
}

/** A text of each item of a list; empty where an item has none. */
function textsAt(raw: unknown, path: Path, key: string): readonly string[] {
  return listAt(raw, path).map((item) => {
    const text = valueAt(item, [key]);
    return typeof text === "string" ? text : "";
  });
}
