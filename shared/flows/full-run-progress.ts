import { messageOf } from "../errors.ts";
import type { FlowDeps } from "./deps.ts";
import type { FullRunProgress } from "./full-run.ts";

/** How often somebody is told how far a full run is, ms. */
const everyMs = 2_000;

/** How far a full run is, e.g. `1 of 4 targets compared, 312 of 1,000 questions to registries answered`. */
export function progressText({ targets, ofTargets, asked, ofAsked }: FullRunProgress): string {
  const compared = `${targets} of ${ofTargets} target${ofTargets === 1 ? "" : "s"} compared`;
  return ofAsked === 0
    ? compared
    : `${compared}, ${count(asked)} of ${count(ofAsked)} registry look-ups done`;
}

/**
 * Tells how far a full run is, a line each 2 s at most; a run that is shorter says nothing.
 * @param more what else is done with each line; one at a time, and one that comes meanwhile is left out
 */
export function telling(
  deps: Pick<FlowDeps, "clock" | "log">,
  more: (text: string) => Promise<void> = async () => {},
): { readonly onProgress: (progress: FullRunProgress) => void; readonly settled: () => Promise<void> } {
  let toldMs = deps.clock.monotonic();
  let telling: Promise<void> | undefined;
  return {
    onProgress: (progress) => {
      const nowMs = deps.clock.monotonic();
      if (nowMs - toldMs < everyMs || telling !== undefined) return;
      toldMs = nowMs;
      const text = progressText(progress);
      deps.log.write("info", `full run: ${text}`);
      // Whoever cannot be told does not hold the run up.
      telling = more(text)
        .catch((error: unknown) => deps.log.write("warning", `progress is not told: ${messageOf(error)}`))
        .finally(() => {
          telling = undefined;
        });
    },
    settled: async () => telling,
  };
}

function count(number: number): string {
  return number.toLocaleString("en-US");
}
