import { setTimeout as pause } from "node:timers/promises";
import type { Commit } from "../../shared/domain/commit.ts";
import type { Rollout } from "../../shared/domain/rollout.ts";
import { type GitHosting, hostGit } from "./git/commits.ts";
import type { Landfall } from "./landfall.ts";
import { runProgram } from "./program.ts";

/** A repository with commits c1, c2, … in a line, on branch `main` of a git server. */
export interface BuiltLine {
  /** What an image of the configuration says of its git, and the configuration's `git`. */
  readonly git: { readonly url: string; readonly branch: string };
  readonly hosts: readonly object[];
  /** @param name e.g. `c2` */
  id(name: string): Commit;
  close(): Promise<void>;
}

export async function commitLine(count: number): Promise<BuiltLine> {
  const hosting: GitHosting = await hostGit();
  const names = Array.from({ length: count }, (_, at) => `c${at + 1}`);
  // All of one second: nothing but the graph tells their order.
  const commits = names.map((name, at) => ({
    name,
    parents: names.slice(Math.max(0, at - 1), at),
    atS: 1_700_000_000,
  }));
  const repository = await hosting.make({ name: "app", commits, branches: { main: `c${count}` } });
  return {
    git: { url: await hosting.url(repository), branch: "main" },
    hosts: [hosting.entry],
    id: repository.id,
    close: () => hosting.close(),
  };
}

/** Publishes a build as CI does, by `landfall publish`; the id of its event, once it has its place in the order. */
export async function publish(
  landfall: Landfall,
  image: string,
  commit: Commit,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const words = ["publish", `${image}:${commit}`, "--commit", commit, "--json"];
  const printed = await runProgram(words, { ...landfall.env, ...env });
  const { event } = JSON.parse(printed) as { readonly event: string };
  await until(landfall, `${event} is judged`, async () => {
    return (await landfall.ledger.get("events", event))?.value.state === "done";
  });
  return event;
}

/** Rollouts that have ended, oldest first. */
export async function ended(landfall: Landfall): Promise<readonly Rollout[]> {
  return (await landfall.rollouts()).filter(({ times }) => times.finished !== undefined);
}

export async function until(
  landfall: Landfall,
  what: string,
  met: () => Promise<boolean>,
  everyMs = 200,
  withinMs = 120_000,
): Promise<void> {
  for (const deadline = Date.now() + withinMs; ; await pause(everyMs)) {
    if (await met()) return;
    if (Date.now() > deadline) {
      throw new Error(`not within ${withinMs / 1000} s: ${what}\n${landfall.log()}`);
    }
  }
}
