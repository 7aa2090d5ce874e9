/** A table with a heading; no trailing blanks. Cells hold one line each. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  return columns([heading, ...rows], "");
}

/** Rows of cells, each column as wide as its widest cell, two blanks between columns. */
export function columns(rows: readonly (readonly string[])[], indent: string): string {
  const clean = rows.map((row) => row.map(oneLine));
  const widths = clean.reduce<readonly number[]>(
    (widest, row) =>
      Array.from({ length: Math.max(widest.length, row.length) }, (_, index) =>
        Math.max(widest[index] ?? 0, (row[index] ?? "").length),
      ),
    [],
  );
  return clean
    .map((row) =>
      `${indent}${row.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join("  ")}`.trimEnd(),
    )
    .join("\n");
}

/** Texts of registries and targets reach the terminal as one line without control characters. */
export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ").trim();
}

export function indented(text: string, by: string): string {
  return text
    .split("\n")
    .map((line) => (line === "" ? "" : `${by}${line}`))
    .join("\n");
}
