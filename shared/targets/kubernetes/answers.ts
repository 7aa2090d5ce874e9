import * as z from "zod/mini";
import { type HttpAnswer, headerOf } from "../../http.ts";
import { rightsAdvice } from "./rights.ts";

/** The object that the API answers failures with (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/). */
const Status = z.object({
  kind: z.literal("Status"),
  message: z.nullish(z.string()),
  reason: z.nullish(z.string()),
  details: z.nullish(z.object({ name: z.nullish(z.string()) })),
});

/** Words about an image name it twice, in full. */
const maxWords = 600;

/** The API's own reason for a failure, e.g. `NotFound`; empty where the answer is none of the API's. */
export function reasonOf(answer: HttpAnswer): string {
  return statusOf(answer)?.reason ?? "";
}

/** `: ` and what the server said, in one line; empty when it said nothing. */
export function wordsOf(answer: HttpAnswer): string {
  const words = wordsIn(answer);
  return words === "" ? "" : `: ${words}`;
}

export function wordsIn(answer: HttpAnswer): string {
  return brief(messageIn(answer));
}

/** An object that is not there is named; without a name it is the API, or what listens there, that has no such path. */
export function isObjectMissing(answer: HttpAnswer): boolean {
  return answer.status === 404 && (statusOf(answer)?.details?.name ?? "") !== "";
}

/**
 * What a person can do where RBAC refused; `undefined` for any other answer. Quotas and admission answer 403 as well,
 * and mean this one request.
 */
export function adviceOn(answer: HttpAnswer): string | undefined {
  return answer.status === 403 ? rightsAdvice(messageIn(answer)) : undefined;
}

/** An API object of any kind; a page of something in between is none. */
export function objectOf(answer: HttpAnswer): Readonly<Record<string, unknown>> | undefined {
  try {
    const parsed: unknown = JSON.parse(answer.body.toString("utf8"));
    const isObject = typeof parsed === "object" && parsed !== null && !Array.isArray(parsed);
    return isObject ? (parsed as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    return undefined;
  }
}

/** Others' words, in one line of a length that fits a message. */
export function brief(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > maxWords ? `${line.slice(0, maxWords)}…` : line;
}

function statusOf(answer: HttpAnswer): z.infer<typeof Status> | undefined {
  if (answer.status < 300) return undefined;
  const read = Status.safeParse(objectOf(answer));
  return read.success ? read.data : undefined;
}

function messageIn(answer: HttpAnswer): string {
  const message = statusOf(answer)?.message ?? undefined;
  if (message !== undefined) return message;
  const isText = (headerOf(answer, "content-type") ?? "").startsWith("text/plain");
  return isText ? answer.body.toString("utf8", 0, 4096) : "";
}
