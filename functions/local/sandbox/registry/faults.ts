import type { ServerResponse } from "node:http";
import { digestOf } from "./store.ts";

/** A request as a fault's condition sees it. */
export interface SeenRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
}

/** One answer of the registry, before it is sent. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** How the `Link` header of a paged tag list is written. */
type LinkForm = "relative" | "absolute" | "other-parameter" | "foreign" | "loop";

export type FaultKind =
  /** Answers so, without doing what was asked. */
  | {
      readonly kind: "status";
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    }
  /** Never answers. */
  | { readonly kind: "hang" }
  /** Drops the connection at once. */
  | { readonly kind: "reset" }
  /** A proxy's web page, with status 200. */
  | { readonly kind: "garbage" }
  /** Something that is not HTTP. */
  | { readonly kind: "not-http" }
  /** Does what was asked, then drops the connection without an answer. */
  | { readonly kind: "lost-answer" }
  /** Does what was asked, then drops the connection within the answer. */
  | { readonly kind: "half-body" }
  /** Does what was asked, then answers one byte at a time. */
  | { readonly kind: "slow-drip"; readonly everyMs: number }
  | { readonly kind: "no-digest" }
  /** Names another digest than that of the content. */
  | { readonly kind: "wrong-digest" }
  /** The answer for clients from before 2016. */
  | { readonly kind: "schema-1" }
  | { readonly kind: "paging"; readonly size: number; readonly link: LinkForm };

export interface Fault {
  /** Default: every request. */
  readonly when?: (request: SeenRequest) => boolean;
  /** How many requests it meets; default all, until it is switched off. */
  readonly times?: number;
  readonly does: FaultKind;
}

/** The faults of a sandbox registry: of those that are on and fit a request, the one switched on first acts. */
export class Faults {
  #on: { fault: Fault; left: number }[] = [];

  /** Returns what switches it off again. */
  switchOn(fault: Fault): () => void {
    const entry = { fault, left: fault.times ?? Number.POSITIVE_INFINITY };
    this.#on.push(entry);
    return () => {
      this.#on = this.#on.filter((other) => other !== entry);
    };
  }

  clear(): void {
    this.#on = [];
  }

  /** Takes the fault that this request meets. */
  meet(request: SeenRequest): FaultKind | undefined {
    const met = this.#on.find(({ fault, left }) => left > 0 && (fault.when?.(request) ?? true));
    if (met !== undefined) met.left -= 1;
    return met?.fault.does;
  }
}

/** What the fault makes of the request without asking the registry; `undefined`: ask it. */
export function answerInstead(
  fault: FaultKind | undefined,
): Answer | "hang" | "reset" | "not-http" | undefined {
  switch (fault?.kind) {
    case "hang":
    case "reset":
    case "not-http":
      return fault.kind;
    case "status":
      return { status: fault.status, headers: fault.headers ?? {}, body: Buffer.from(fault.body ?? "") };
    case "garbage":
      return {
        status: 200,
        headers: { "content-type": "text/html" },
        body: Buffer.from("<html>Please log in to the guest network</html>"),
      };
    default:
      return undefined;
  }
}

/** What the fault makes of the registry's own answer. */
export function spoil(answer: Answer, fault: FaultKind | undefined): Answer {
  switch (fault?.kind) {
    case "no-digest": {
      const { "docker-content-digest": _, etag: __, ...headers } = answer.headers;
      return { ...answer, headers };
    }
    case "wrong-digest":
      return {
        ...answer,
        headers: { ...answer.headers, "docker-content-digest": digestOf(Buffer.from("something else")) },
      };
    default:
      return answer;
  }
}

/** Sends the answer on the bare connection, not all of it or not at once. */
export function sendBadly(
  response: ServerResponse,
  answer: Answer,
  withBody: boolean,
  fault: { kind: "half-body" } | { kind: "slow-drip"; everyMs: number },
): void {
  const { socket } = response;
  if (socket === null) return;
  const lines = Object.entries({ ...answer.headers, "content-length": String(answer.body.length) });
  const head = Buffer.from(
    `HTTP/1.1 ${answer.status} Sandbox\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`,
  );
  const body = withBody ? answer.body : Buffer.alloc(0);
  if (fault.kind === "half-body") {
    const cut = body.length === 0 ? head.length >> 1 : head.length + (body.length >> 1);
    socket.end(Buffer.concat([head, body]).subarray(0, cut));
    return;
  }
  const whole = Buffer.concat([head, body]);
  let at = 0;
  const timer = setInterval(() => {
    if (at < whole.length) socket.write(whole.subarray(at, at + 1));
    else socket.end();
    at += 1;
  }, fault.everyMs);
  socket.once("close", () => clearInterval(timer));
}
