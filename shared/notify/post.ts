import { messageOf } from "../errors.ts";
import { type HttpAnswer, type HttpClient, retryAfterMs } from "../http.ts";
import type { Secret } from "../secret.ts";
import { type Delivered, deadlineMs } from "./notifier.ts";

const maxAnswerBytes = 64 * 1024;

export interface Post {
  readonly client: HttpClient;
  readonly url: Secret;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** ms, for a `Retry-After` that is a date. */
  readonly nowMs: number;
  /** What an answer says beyond its status, where that is known to be harmless. */
  readonly said?: (answer: HttpAnswer) => string | undefined;
}

/**
 * Posts once. Redirects are not followed, and whatever is no success may be tried again, but for 410 Gone: the other
 * side wants no more of it.
 * @throws ConfigError when the address is not there
 */
export async function post({ client, url, headers, body, nowMs, said }: Post): Promise<Delivered> {
  const address = url();
  if (!/^https?:$/.test(URL.parse(address)?.protocol ?? "")) {
    return { kind: "failed", reason: "its `url` is no http(s) address" };
  }
  let answer: HttpAnswer;
  try {
    const request = {
      method: "POST",
      url: address,
      headers,
      body,
      deadlineMs,
      maxBytes: maxAnswerBytes,
    } as const;
    answer = await client.request(request);
  } catch (error) {
    return { kind: "failed", reason: withoutAddress(messageOf(error), address) };
  }
  const { status } = answer;
  if (status >= 200 && status < 300) return { kind: "taken" };
  const words = said?.(answer);
  const reason = `it answered ${status}${words === undefined ? "" : ` ${words}`}`;
  if (status === 410) return { kind: "refused", reason };
  const waitMs = retryAfterMs(answer, nowMs);
  return { kind: "failed", reason, ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }) };
}

/** The address is a secret, with whatever part of it an error repeats. */
function withoutAddress(message: string, address: string): string {
  const { pathname, search, username, password } = new URL(address);
  return [address, pathname + search, pathname, search, username, password]
    .filter((part) => part.length > 1)
    .reduce((text, part) => text.replaceAll(part, "…"), message);
}
