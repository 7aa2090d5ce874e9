import type { Notice } from "../domain/notice.ts";
import { messageOf } from "../errors.ts";
import type { Write } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";
import { record } from "./record.ts";

/** How long it is known what people were told, ms: the same is not told twice within it. */
export const noticesKeptMs = 30 * 24 * 3_600_000;
/** Reasons are words of targets and registries, which may be long. */
const maxSentence = 1_000;

/**
 * What has people told of something, for the batch that makes it true: it is told then if and only if it is so.
 * Nothing where no notifier wants to know.
 * @param group notices of one kind and group are one message; default: those of one event, or of one subject
 */
export function noticeWrites(
  deps: Pick<FlowDeps, "notifiers" | "newId">,
  notice: Notice,
  group: string = notice.event ?? notice.subject,
): readonly Write[] {
  return isWanted(deps, notice) ? [noticeWrite(notice, group, `${notice.kind}/${deps.newId()}`)] : [];
}

/**
 * Has people told of something that no batch makes true: of one subject and group once, whoever finds it how often. A
 * ledger that does not answer is only logged: nothing waits for it.
 * @returns whether there is nothing left to be done for it
 */
export async function tell(deps: FlowDeps, notice: Notice, group: string): Promise<boolean> {
  if (!isWanted(deps, notice)) return true;
  const write = noticeWrite(notice, group, `${notice.kind}/${group}/${notice.subject}`);
  try {
    // A conflict: it was told before.
    await record(deps, "notice.record", [write]);
    return true;
  } catch (error) {
    deps.log.write("warning", `nobody is told that ${notice.subject} is ${notice.kind}: ${messageOf(error)}`);
    return false;
  }
}

function isWanted({ notifiers }: Pick<FlowDeps, "notifiers">, { kind }: Notice): boolean {
  return notifiers.some(({ on }) => on.has(kind));
}

function noticeWrite(notice: Notice, group: string, id: string): Write {
  const { atMs } = notice;
  const sentence = notice.sentence.slice(0, maxSentence);
  const value = { notice: { ...notice, sentence }, group, dueMs: atMs, expireMs: atMs + noticesKeptMs };
  return { collection: "notices", id, expect: 0, value };
}
