import { LedgerUnavailableError } from "../errors.ts";
import type { Check, Write } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";
import type { FaultPoint } from "./recorder.ts";

const attempts = 3;
const pauseMs = 200;

/**
 * Commits a batch so that a lost answer does no harm: the same writes go out again under the same writer, and on a
 * conflict the first document tells whose write it was.
 * @returns `written` when these writes are in the ledger, `conflict` when somebody else was faster: read and decide anew
 * @throws LedgerUnavailableError (retryable) when the ledger does not answer at all
 */
export async function record(
  deps: Pick<FlowDeps, "ledger" | "clock" | "newId" | "recorder">,
  point: FaultPoint,
  writes: readonly [Write, ...Write[]],
  checks: readonly Check[] = [],
): Promise<"written" | "conflict"> {
  const writer = deps.newId();
  return deps.recorder.step(point, async () => {
    for (let attempt = 1; ; attempt++) {
      try {
        const outcome = await deps.ledger.commit(writer, writes, checks);
        if (outcome.kind === "committed") return "written";
        if (attempt === 1) return "conflict";
        const [first] = writes;
        const stored = await deps.ledger.get(first.collection, first.id);
        return stored?.writer === writer ? "written" : "conflict";
      } catch (error) {
        if (!(error instanceof LedgerUnavailableError) || attempt >= attempts) throw error;
        await deps.clock.sleep(pauseMs * attempt);
      }
    }
  });
}
