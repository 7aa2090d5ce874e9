/** Base of every error that the code cannot go on from. `code` is stable; tests and operators rely on it. */
export abstract class LandfallError extends Error {
  abstract readonly code: string;
  /** Whether the same call can succeed later: decides 503 or redelivery against 500 or acknowledgement. */
  abstract readonly retryable: boolean;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The configuration cannot be used; `problems` names every key that is wrong and how to mend it, without values. */
export class ConfigError extends LandfallError {
  readonly code = "CONFIG";
  readonly retryable = false;
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(
      `the configuration has ${problems.length} problem${problems.length === 1 ? "" : "s"}:\n${problems.map((problem) => `  ${problem}`).join("\n")}`,
    );
    this.problems = problems;
  }
}

/** The ledger did not answer: whether a write took effect is unknown. */
export class LedgerUnavailableError extends LandfallError {
  readonly code = "LEDGER_UNAVAILABLE";
  readonly retryable = true;
}

/** The ledger's store refuses us: a role, the database or an index is missing, which a person must mend. */
export class LedgerDeniedError extends LandfallError {
  readonly code = "LEDGER_DENIED";
  readonly retryable = true;
}

/** A document is larger than any ledger takes. */
export class DocumentTooLargeError extends LandfallError {
  readonly code = "DOCUMENT_TOO_LARGE";
  readonly retryable = false;
}

/** The bus did not take a message durably. */
export class BusUnavailableError extends LandfallError {
  readonly code = "BUS_UNAVAILABLE";
  readonly retryable = true;
}

/** No usable answer came from a registry: refused, timed out, 5xx, or 429 with a time to come back. */
export class RegistryUnavailableError extends LandfallError {
  readonly code = "REGISTRY_UNAVAILABLE";
  readonly retryable = true;
  /** How long the registry asked to be left alone, ms. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options?: ErrorOptions & { retryAfterMs?: number }) {
    super(message, options);
    this.retryAfterMs = options?.retryAfterMs;
  }
}

/** The registry refused our credentials, or the repository does not exist: several registries answer both alike. */
export class RegistryDeniedError extends LandfallError {
  readonly code = "REGISTRY_DENIED";
  readonly retryable = true;
}

/** The registry answered, but not as the distribution spec promises. */
export class RegistryResponseError extends LandfallError {
  readonly code = "REGISTRY_RESPONSE";
  readonly retryable = true;
}

/** A deploy target could not be asked: refused, timed out, 429, 5xx, garbage. Nothing is known about its workloads. */
export class TargetUnavailableError extends LandfallError {
  readonly code = "TARGET_UNAVAILABLE";
  readonly retryable = true;
  /** How long the target, or what is in front of it, asked to be left alone, ms. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options?: ErrorOptions & { retryAfterMs?: number | undefined }) {
    super(message, options);
    this.retryAfterMs = options?.retryAfterMs;
  }
}

/** A deploy target refused our credentials or rights: a configuration matter that a person must mend. */
export class TargetDeniedError extends LandfallError {
  readonly code = "TARGET_DENIED";
  readonly retryable = true;
}

/** A git host could not be asked: refused, timed out, 5xx, rate limit, garbage. The order of two commits is not known now. */
export class HistoryUnavailableError extends LandfallError {
  readonly code = "HISTORY_UNAVAILABLE";
  readonly retryable = true;
  /** How long the host asked to be left alone, ms. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options?: ErrorOptions & { retryAfterMs?: number | undefined }) {
    super(message, options);
    this.retryAfterMs = options?.retryAfterMs;
  }
}

/** A git host refused our credentials, or shows the repository to others only: a person must mend it. */
export class HistoryDeniedError extends LandfallError {
  readonly code = "HISTORY_DENIED";
  readonly retryable = true;
}

/** Whether an error says that a target could not be asked, now or until a person mends it. */
export function isTargetTrouble(error: unknown): boolean {
  return error instanceof TargetUnavailableError || error instanceof TargetDeniedError;
}

/** How long the other side asked to be left alone, ms; `undefined`: it did not say. */
export function retryAfterOf(error: unknown): number | undefined {
  return error instanceof RegistryUnavailableError ||
    error instanceof TargetUnavailableError ||
    error instanceof HistoryUnavailableError
    ? error.retryAfterMs
    : undefined;
}

/** The message of anything thrown, for a log line or a reason. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
