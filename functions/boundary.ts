import type { IncomingMessage, ServerResponse } from "node:http";
import { LandfallError, messageOf } from "../shared/errors.ts";
import type { Log } from "../shared/log.ts";
import { type Answer, send } from "./answer.ts";

/** When to come back, where the error itself does not say. */
const retryAfterS = 5;

/**
 * Answers a request with what `run` returns, or with what its error stands for; `undefined` means that nobody is
 * there to be answered.
 */
export function answered(
  request: IncomingMessage,
  response: ServerResponse,
  log: Log,
  run: () => Promise<Answer | undefined>,
): Promise<void> {
  return run().then(
    (answer) => {
      if (answer !== undefined) return send(request, response, answer);
      response.destroy();
    },
    (error: unknown) => {
      logError(log, error);
      return send(request, response, answerTo(error));
    },
  );
}

/** 503 where the same request can succeed later, else 500. The error's own words stay in the log. */
function answerTo(error: unknown): Answer {
  return error instanceof LandfallError && error.retryable
    ? unavailable("not available now, try again")
    : { status: 500, body: { error: "internal error, see the log" } };
}

export function unavailable(error: string): Answer {
  return { status: 503, headers: { "retry-after": String(retryAfterS) }, body: { error } };
}

/** One line, with the stack where the error is none of ours. */
function logError(log: Log, error: unknown): void {
  const own = error instanceof LandfallError;
  log.write("error", messageOf(error), {
    code: own ? error.code : "UNEXPECTED",
    ...(own ? {} : { stack: error instanceof Error ? error.stack : undefined }),
  });
}

/**
 * Runs the handling of one bus message: what it throws is logged here and has the message delivered again. The
 * framework puts an error's message into its answer, so only a plain one leaves.
 */
export async function redelivered(log: Log, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    logError(log, error);
    throw new Error("not taken, deliver it again");
  }
}
