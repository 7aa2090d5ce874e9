import type { Spread } from "./spread.ts";

type Unit = "/s" | "ms" | "µs" | "MiB" | "KiB" | "B" | "%" | "";

export interface Row {
  readonly what: string;
  readonly ours: number;
  readonly unit: Unit;
  /** What it is compared with, measured in the same run and in the same unit. */
  readonly beside?: { readonly name: string; readonly value: number };
  /** Ours by the other one, or less the other one; absent: ours speaks for itself. */
  readonly compared?: {
    readonly as: "ratio" | "difference";
    readonly value: number;
    /** The same, round by round. */
    readonly spread?: Spread;
  };
  /** For what is compared, else for ours. */
  readonly budget?: { readonly at: "least" | "most"; readonly value: number };
}

/** What one measurement found, and what a reader of the table may want to know besides. */
export interface Report {
  readonly rows: readonly Row[];
  readonly notes: readonly string[];
}

const header = ["what", "ours", "beside it", "ratio or difference", "min … max", "budget", ""];

export function verdictOf({ ours, compared, budget }: Row): "ok" | "over" | undefined {
  if (budget === undefined) return undefined;
  const value = compared?.value ?? ours;
  const within = budget.at === "least" ? value >= budget.value : value <= budget.value;
  return within ? "ok" : "over";
}

export function printTable(rows: readonly Row[]): string {
  const cells = [header, ...rows.map(cellsOf)];
  const widths = header.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  return [
    line(cells[0] ?? []),
    widths.map((width) => "─".repeat(width)).join("  "),
    ...cells.slice(1).map(line),
  ]
    .map((text) => `${text}\n`)
    .join("");
}

function cellsOf(row: Row): string[] {
  const { what, ours, unit, beside, compared, budget } = row;
  const sign = compared?.as === "ratio" ? "×" : "";
  const print = (value: number) => printed(value, compared === undefined || sign === "" ? unit : "", sign);
  return [
    what,
    printed(ours, unit),
    beside === undefined ? "" : `${beside.name} ${printed(beside.value, unit)}`,
    compared === undefined ? "" : print(compared.value),
    compared?.spread === undefined ? "" : `${print(compared.spread.min)} … ${print(compared.spread.max)}`,
    budget === undefined ? "" : `${budget.at === "least" ? "≥" : "≤"} ${print(budget.value)}`,
    verdictOf(row)?.replace("over", "OVER") ?? "",
  ];
}

function printed(value: number, unit: Unit, sign = ""): string {
  const digits = sign === "×" ? 2 : unit === "" || unit === "B" || Math.abs(value) >= 100 ? 0 : 1;
  const space = unit === "" || unit === "/s" || unit === "%" ? "" : " ";
  return `${sign === "×" ? "× " : ""}${value.toFixed(digits)}${space}${unit}`;
}
