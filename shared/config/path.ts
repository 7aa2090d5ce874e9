/** A place in a document: keys and, from 0, indices. */
export type Path = readonly (string | number)[];

/** The items of a list at a path of a document; none where there is no list. */
export function listAt(document: unknown, path: Path): readonly unknown[] {
  const value = valueAt(document, path);
  return Array.isArray(value) ? value : [];
}

/** The value at a path of a document; `undefined` when there is none. */
export function valueAt(document: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, part) =>
      typeof value === "object" && value !== null && Object.hasOwn(value, part)
        ? (value as Readonly<Record<string | number, unknown>>)[part]
        : undefined,
    document,
  );
}
