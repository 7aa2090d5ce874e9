import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

/** A message that came in. */
export interface ReceivedNotice {
  readonly headers: IncomingMessage["headers"];
  readonly path: string;
  readonly body: string;
}

/** `hang`: no answer ever. `lose`: taken, but the connection ends without an answer. */
export type ReceiverAnswer =
  | {
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    }
  | "hang"
  | "lose";

/** Somebody's end of a webhook. */
export interface NoticeReceiver {
  /** With a secret in it, as Slack's have. */
  readonly url: string;
  /** Every request, in the order of arrival. */
  readonly received: readonly ReceivedNotice[];
  /** What was taken. */
  readonly accepted: readonly ReceivedNotice[];
  /** How the next ones are answered; when it is empty as by Slack, `ok`. */
  readonly answers: ReceiverAnswer[];
  close(): Promise<void>;
}

export interface ReceiverOptions {
  /** Every request is answered like that. */
  readonly always?: ReceiverAnswer;
  /** Called with a request's `x-call` when it will not be answered. */
  readonly onSilence?: (call: string) => void;
}

export const urlSecret = "T0000/B0000/s3cr3tPartOfTheAddress";

export async function noticeReceiver({ always, onSilence }: ReceiverOptions = {}): Promise<NoticeReceiver> {
  const received: ReceivedNotice[] = [];
  const accepted: ReceivedNotice[] = [];
  const answers: ReceiverAnswer[] = [];
  const server = createServer(async (request, response) => {
    const { headers, url: path = "/" } = request;
    const notice = { headers, path, body: await text(request) };
    received.push(notice);
    const answer = always ?? answers.shift() ?? { status: 200, body: "ok" };
    if (answer === "hang") {
      onSilence?.(String(headers["x-call"]));
      return;
    }
    if (answer === "lose" || (answer.status >= 200 && answer.status < 300)) accepted.push(notice);
    if (answer === "lose") response.destroy();
    else response.writeHead(answer.status, answer.headers).end(answer.body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/services/${urlSecret}`,
    received,
    accepted,
    answers,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}
