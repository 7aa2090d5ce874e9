import type { Agent, ClientRequest, IncomingHttpHeaders, IncomingMessage } from "node:http";
import { version } from "../../version.ts";

/** One HTTP call; the whole of it must be over within `deadlineMs`. */
interface Call {
  readonly method: "GET" | "POST";
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly deadlineMs: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Caller {
  /** @throws Error when no whole answer comes */
  call(call: Call): Promise<Answer>;
  close(): void;
}

/** A hundred dead letters come in one answer. */
const maxAnswerBytes = 32 * 1024 * 1024;
/** Connections to a host at once; what comes beyond waits its turn. */
const maxSockets = 64;
/** Idle connections are closed before a proxy or an address translation forgets them. */
const keptMs = 20_000;

/**
 * HTTP by Node's own client, over connections that are kept. It stands in the way of the webhook's first answer: undici,
 * and so `fetch`, takes 35 to 75 ms to load, and an `import` of `node:http` as long, since it evaluates everything that
 * the module would load when needed.
 */
export function nodeCaller(): Caller {
  const agents = new Map<string, Agent>();

  function start(call: Call): ClientRequest {
    const url = new URL(call.url);
    const { Agent, request } = process.getBuiltinModule(
      url.protocol === "https:" ? "node:https" : "node:http",
    );
    const agent = agents.get(url.protocol) ?? new Agent({ keepAlive: true, timeout: keptMs, maxSockets });
    agents.set(url.protocol, agent);
    return request(url, {
      agent,
      method: call.method,
      headers: {
        "user-agent": `landfall/${version}`,
        ...call.headers,
        ...(call.body === undefined ? {} : { "content-length": Buffer.byteLength(call.body) }),
      },
    });
  }

  return {
    call: async (call) => {
      const outgoing = start(call);
      const timer = setTimeout(
        () => outgoing.destroy(new Error(`no answer within ${Math.round(call.deadlineMs)} ms`)),
        call.deadlineMs,
      );
      try {
        const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
          outgoing.once("response", resolve).on("error", reject).end(call.body);
        });
        const body = await textOf(incoming);
        return { status: incoming.statusCode ?? 0, headers: incoming.headers, body };
      } finally {
        clearTimeout(timer);
      }
    },
    close: () => {
      for (const agent of agents.values()) agent.destroy();
    },
  };
}

async function textOf(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxAnswerBytes) throw new Error(`the answer is longer than ${maxAnswerBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
