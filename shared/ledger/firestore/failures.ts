import type { Clock } from "../../clock.ts";
import {
  DocumentTooLargeError,
  LandfallError,
  LedgerDeniedError,
  LedgerUnavailableError,
  messageOf,
} from "../../errors.ts";

/** https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
const status = {
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;

/** No call takes longer than this with all its repetitions, ms. */
const wholeMs = 10_000;
const maxAttempts = 4;
const pauseMs = 50;

/** A reading is repeated when the server had a bad moment; a commit only when it says that nothing was written. */
export const repeated = {
  reading: new Set<number>([status.aborted, status.unavailable, status.internal, status.resourceExhausted]),
  commit: new Set<number>([status.aborted]),
} as const;

/**
 * Does a call, again where that helps, and gives up when its time is over even if nothing comes back at all.
 * @param random in [0, 1): spreads repetitions
 */
export async function within<T>(
  clock: Clock,
  random: () => number,
  again: ReadonlySet<number>,
  act: (timeoutMs: number) => Promise<T>,
): Promise<T> {
  const endsMs = clock.monotonic() + wholeMs;
  for (let attempt = 1; ; attempt++) {
    try {
      return await ended(clock, endsMs - clock.monotonic(), act);
    } catch (error) {
      const pause = pauseMs * 2 ** attempt * (0.5 + random());
      if (attempt === maxAttempts || !again.has(codeOf(error))) throw error;
      if (clock.monotonic() + pause >= endsMs) throw error;
      await clock.sleep(pause);
    }
  }
}

/** Credentials are looked for before a call has a deadline of its own. */
async function ended<T>(clock: Clock, leftMs: number, act: (timeoutMs: number) => Promise<T>): Promise<T> {
  const answered = new AbortController();
  const late = clock.sleep(leftMs, answered.signal).then(() => {
    throw Object.assign(new Error(`no answer within ${wholeMs / 1_000} s`), {
      code: status.deadlineExceeded,
    });
  });
  late.catch(() => {});
  try {
    return await Promise.race([act(leftMs), late]);
  } finally {
    answered.abort();
  }
}

function codeOf(error: unknown): number {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "number" ? code : status.unknown;
}

const missingDatabase = /database .*does not exist for project|Datastore Mode/i;

/** Whether a commit failed because a document was not as expected. */
export function isConflict(error: unknown): boolean {
  const code = codeOf(error);
  const conflicts: readonly number[] = [status.alreadyExists, status.failedPrecondition, status.notFound];
  return conflicts.includes(code) && !missingDatabase.test(messageOf(error));
}

/** What a failed call means for whoever uses the ledger. */
export function failureOf(error: unknown): unknown {
  if (error instanceof LandfallError || error instanceof TypeError || error instanceof RangeError)
    return error;
  const said = messageOf(error);
  const denied = (advice: string) => new LedgerDeniedError(`Firestore: ${said}; ${advice}`, { cause: error });
  switch (codeOf(error)) {
    case status.permissionDenied:
      return denied(
        "grant this identity roles/datastore.user on the project (to read only, roles/datastore.viewer)",
      );
    case status.unauthenticated:
      return denied("the Google credentials are not valid");
    case status.notFound:
      return denied(
        "name the project and database in LANDFALL_LEDGER=firestore:PROJECT/DATABASE, or create it",
      );
    case status.failedPrecondition:
      return denied(
        "the database needs Firestore's native mode and the indexes of infra/firestore.indexes.json",
      );
    case status.invalidArgument:
      return /exceeds the maximum/.test(said) ? new DocumentTooLargeError(said, { cause: error }) : error;
    case status.unimplemented:
    case status.outOfRange:
      return error;
    default:
      if (/default credentials/i.test(said)) {
        return denied("sign in with `gcloud auth application-default login`, or run with a service account");
      }
      return new LedgerUnavailableError(`Firestore did not answer: ${said}`, { cause: error });
  }
}
