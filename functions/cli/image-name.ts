import { parseReference, parseRepository, pathOf, type Repository } from "../../shared/domain/reference.ts";

export type AskedImage =
  | { readonly kind: "image"; readonly repository: Repository; readonly tag?: string; readonly name: string }
  | { readonly kind: "invalid"; readonly reason: string };

/** Unlike `docker`, a name without a tag stands for all tags. `name` is the repository as it was typed. */
export function readImage(text: string): AskedImage {
  const parsed = parseReference(text);
  if (parsed.kind === "invalid") return parsed;
  const { repository, tag } = parsed.reference;
  const untagged = text.replace(/@.*$/, "");
  if (parseRepository(untagged).kind === "repository") return { kind: "image", repository, name: untagged };
  const name = untagged.slice(0, untagged.lastIndexOf(":"));
  return { kind: "image", repository, name, ...(tag === undefined ? {} : { tag }) };
}

/** What a name can stand for: itself when it is known or nothing else is, else the known ones that end with it. */
export function repositoriesMeant(
  { repository, name }: Pick<AskedImage & { readonly kind: "image" }, "repository" | "name">,
  known: ReadonlySet<Repository>,
): readonly [Repository, ...Repository[]] {
  if (known.has(repository)) return [repository];
  const [first, ...others] = [...known].filter((each) => isTail(each, name)).toSorted();
  return first === undefined ? [repository] : [first, ...others];
}

/** Whether a name stands for a repository without its host, or without what stands before the last parts of its path. */
export function isTail(repository: Repository, name: string): boolean {
  return repository === name || pathOf(repository) === name || repository.endsWith(`/${name}`);
}
