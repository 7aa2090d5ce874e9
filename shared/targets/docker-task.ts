import type { Look, TaskLook } from "./target.ts";

/** Docker's task states. A task that was told to stop is no failure: `desired` says that it does not count. */
export function taskStateOf(state: string): TaskLook["state"] {
  switch (state) {
    case "running":
    case "shutdown":
    case "remove":
      return "running";
    case "complete":
    case "failed":
    case "rejected":
    case "orphaned":
      return "failed";
    default:
      return "starting";
  }
}

/** The task's own words; one that ended well has none of its own. */
export function taskErrorOf(state: string, error: string): string {
  return error === "" && state === "complete" ? "the task ended by itself with exit code 0" : error;
}

/** The node's, in the engine's words. Of what an image does by itself they say no more than `non-zero exit`. */
const trouble =
  /no such image|no suitable node|network sandbox|no space left on device|port is already allocated|deadline exceeded/i;

/** Pull, placement and lost nodes: a task that never came to run the image says nothing about the image. */
export function isEnvironment(state: string, error: string): boolean {
  if (state === "rejected" || state === "orphaned") return true;
  if (state === "pending" && error !== "") return true;
  return trouble.test(error);
}

/** The engine's words about an update. While it goes on they are `update in progress`, which explains no failure. */
export function updateWords(
  update: Look["update"],
  message: string | null | undefined,
): Pick<Look, "message"> {
  return update === "updating" || (message ?? "") === "" ? {} : { message: message ?? "" };
}
