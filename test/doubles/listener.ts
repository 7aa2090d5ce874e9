import { alarmingKinds, type NoticeKind } from "../../shared/domain/notice.ts";
import type { FlowNotifier } from "../../shared/flows/deps.ts";
import type { Delivered, Letter } from "../../shared/notify/notifier.ts";

/** A notifier at the speed of memory. */
export interface Listener extends FlowNotifier {
  /** Every letter that was sent, the same one several times if it was sent again. */
  readonly attempts: readonly Letter[];
  readonly taken: readonly Letter[];
  /** What the next ones come to; when it is empty they are taken. */
  readonly answers: (Delivered | Error)[];
}

export const failed: Delivered = { kind: "failed", reason: "it answered 503" };

export function failedFor(retryAfterMs: number): Delivered {
  return { kind: "failed", reason: "it answered 429", retryAfterMs };
}

export function listener(name = "slack", on: readonly NoticeKind[] = alarmingKinds): Listener {
  const attempts: Letter[] = [];
  const taken: Letter[] = [];
  const answers: Listener["answers"] = [];
  const send = async (letter: Letter) => {
    attempts.push(letter);
    const answer = answers.shift() ?? { kind: "taken" };
    if (answer instanceof Error) throw answer;
    if (answer.kind === "taken") taken.push(letter);
    return answer;
  };
  return { name, on: new Set(on), attempts, taken, answers, open: async () => ({ send }) };
}
