import type { Notice } from "../domain/notice.ts";
import { type HttpAnswer, httpClient } from "../http.ts";
import { headlineOf } from "./headline.ts";
import type { EntryOf, Letter, Notifier, NotifierContext } from "./notifier.ts";
import { post } from "./post.ts";

/** https://docs.slack.dev/reference/block-kit/blocks: 50 blocks, 150 characters of a header, 3,000 of a section. */
const maxText = 3_000;
/** Together blocks may have about 13,000 characters, which is written nowhere. */
const maxAllText = 9_000;
/** More rows than that nobody reads in a channel. */
const maxRows = 20;
const maxSubject = 300;
const maxSentence = 700;

/** https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks */
export function create(
  { url }: EntryOf<"slack">,
  { secret, clock, connect = httpClient }: NotifierContext,
): Notifier {
  const client = connect({ connections: 2 });
  const address = secret(url);
  return {
    send: (letter) =>
      post({
        client,
        url: address,
        headers: { "content-type": "application/json; charset=utf-8" },
        body: JSON.stringify(payloadOf(letter)),
        nowMs: clock.now(),
        said: nameOf,
      }),
    close: () => client.close(),
  };
}

/** What is posted: blocks, and the text that stands for them in notifications and for screen readers. */
function payloadOf({ message, kind, event, notices, more }: Letter) {
  const all = notices.length + more;
  const headline = headlineOf(kind, all);
  const rows: string[] = [];
  let length = 0;
  for (const notice of notices.slice(0, maxRows)) {
    const row = rowOf(notice);
    if (length + row.length > maxAllText && rows.length > 0) break;
    rows.push(row);
    length += row.length;
  }
  const left = all - rows.length;
  const advice = [...new Set(notices.slice(0, rows.length).flatMap(({ next }) => next ?? []))];
  const foot = [
    ...(left === 0 ? [] : [`and ${left} more`]),
    ...(advice.length === 1 ? advice : []),
    ...(event === undefined ? [] : [`event \`${event}\``]),
  ];
  const subject = all === 1 ? `: ${notices[0]?.subject}` : "";
  return {
    text: cut(`${headline}${subject}`, maxSubject),
    blocks: [
      {
        type: "header",
        // Nobody sees it; it is the same when the message is sent once more.
        block_id: message,
        text: { type: "plain_text", text: headline, emoji: false },
      },
      ...rows.map((text) => ({ type: "section", text: mrkdwn(text) })),
      ...(foot.length === 0 ? [] : [{ type: "context", elements: [mrkdwn(cut(foot.join(" · "), maxText))] }]),
    ],
  };
}

function rowOf({ subject, sentence }: Notice): string {
  return `*${cut(subject.replaceAll("*", ""), maxSubject)}*\n${cut(sentence, maxSentence)}`;
}

/** `verbatim`: names of people, channels and addresses in it are no links and call nobody. */
function mrkdwn(text: string) {
  return { type: "mrkdwn", text, verbatim: true };
}

/** https://docs.slack.dev/messaging/formatting-message-text#escaping: these three and no others. */
const escaped: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };

/** The text, escaped, cut to so many characters of what is sent. */
function cut(text: string, max: number): string {
  let fitted = "";
  for (const letter of text) {
    const next = escaped[letter] ?? letter;
    if (fitted.length + next.length >= max) return `${fitted}…`;
    fitted += next;
  }
  return fitted;
}

/** Slack names what is wrong in one word, e.g. `no_service` or `invalid_blocks`. */
function nameOf({ body }: HttpAnswer): string | undefined {
  return /^[a-z_]{1,60}$/.exec(body.toString("utf8").trim())?.[0];
}
