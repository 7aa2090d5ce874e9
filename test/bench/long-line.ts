import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Graph } from "../contracts/history-graphs.ts";

/** How far apart commits are whose order is asked for. */
export const distances = [1, 500, 20_000] as const;

const length = 20_000;

/** The newest commit of main. */
export const tip = `n${length}`;

/** The commit of main that many before its newest. */
export function behind(distance: number): string {
  return `n${length - distance}`;
}

/** A commit that is not on main: it left main that many commits ago. */
export function beside(distance: number): string {
  return `side-${distance}`;
}

/** A line of 20,001 commits, and a commit beside it at each distance. */
export const longLine: Graph = {
  name: "long",
  commits: [
    ...Array.from({ length: length + 1 }, (_, index) => ({
      name: `n${index}`,
      parents: index === 0 ? [] : [`n${index - 1}`],
      atS: 1_600_000_000 + 60 * index,
    })),
    ...distances.map((distance) => ({
      name: beside(distance),
      parents: [behind(distance)],
      atS: 1_700_000_000,
    })),
  ],
  branches: { main: tip, ...Object.fromEntries(distances.map((each) => [beside(each), beside(each)])) },
};

/** Whether there is a git to make repositories with, and to serve them by `git http-backend`. */
export async function hasGit(): Promise<boolean> {
  return promisify(execFile)("git", ["http-backend", "--help"]).then(
    () => true,
    (error: { readonly code?: unknown }) => error.code !== "ENOENT",
  );
}
