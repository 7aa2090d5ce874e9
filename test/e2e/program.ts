import { execFile } from "node:child_process";
import { join } from "node:path";
import { nodeEnvironment } from "../node-environment.ts";

const entry = join(import.meta.dirname, "../../functions/cli/landfall.js");

/** Runs `landfall` in a process of its own; what it prints. @throws Error with what it said, unless it ended with 0 */
export function runProgram(
  words: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const set = { ...nodeEnvironment(), HOME: "/nowhere", ...env };
    const options = { env: set, maxBuffer: 16 << 20 };
    execFile(process.execPath, [entry, ...words], options, (error, out, err) => {
      if (error === null) return resolve(out);
      reject(new Error(`landfall ${words.join(" ")} ended with ${error.code}: ${out}${err}`));
    });
  });
}
