/** Severities of Cloud Logging; `notice` and above are what an operator reads. */
export type Severity = "debug" | "info" | "notice" | "warning" | "error" | "alert";

/** Values that are safe to log: no bodies, no headers, no environment. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Log {
  write(severity: Severity, message: string, fields?: LogFields): void;
}

/** One JSON object a line, as Cloud Logging reads it (`severity`, `message`, the rest as fields). */
export function jsonLog(print: (line: string) => void = (line) => process.stdout.write(`${line}\n`)): Log {
  return {
    write: (severity, message, fields) =>
      print(
        JSON.stringify({
          severity: severity.toUpperCase(),
          message,
          ...fields,
          time: new Date().toISOString(),
        }),
      ),
  };
}

/** Fields that the message itself says already, or that only a machine wants. */
const leftOut = new Set(["event", "digest", "generation", "workload", "seq", "source", "outcome", "images"]);

/** A line a person reads: time, message, what else there is as `key=value`. Debug lines are left out. */
export function storyLog(print: (line: string) => void = (line) => process.stdout.write(`${line}\n`)): Log {
  return {
    write: (severity, message, fields) => {
      if (severity === "debug") return;
      const mark = severity === "info" || severity === "notice" ? " " : severity === "warning" ? "!" : "✗";
      const rest = Object.entries(fields ?? {})
        .filter(([key, value]) => value !== undefined && !leftOut.has(key))
        .map(([key, value]) => `${key}=${value}`)
        .join(" ");
      print(`${new Date().toISOString().slice(11, 23)} ${mark} ${message}${rest === "" ? "" : `  ${rest}`}`);
    },
  };
}

export const silentLog: Log = { write: () => {} };
