import { request as httpRequest } from "node:http";

export interface Sending {
  readonly port: number;
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent one after the other, as fast as the other side takes them. */
  readonly parts?: Iterable<Buffer>;
  /** Declared with `content-length`; without it the body is chunked. */
  readonly length?: number;
  /** Leaves the body unfinished: after the parts nothing more comes. */
  readonly unfinished?: boolean;
}

export interface Sent {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  /** Bytes that were handed to the connection before it was over. */
  readonly sentBytes: number;
}

/** Sends a request and resolves with its answer, also when that comes before the body is sent. */
export function sendParts(sending: Sending): Promise<Sent> {
  return new Promise((resolve, reject) => {
    const { port, path, length } = sending;
    let sentBytes = 0;
    let answered = false;
    const request = httpRequest({
      host: "127.0.0.1",
      port,
      path,
      method: sending.method ?? "POST",
      headers: {
        ...sending.headers,
        ...(length === undefined ? { "transfer-encoding": "chunked" } : { "content-length": String(length) }),
      },
      agent: false,
    });
    request.flushHeaders();
    void write();
    request.on("response", (response) => {
      answered = true;
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        const body = Buffer.concat(chunks).toString("utf8");
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body, sentBytes });
        request.destroy();
      });
    });
    request.on("error", (error) => {
      if (!answered) reject(error);
    });

    async function write(): Promise<void> {
      for (const part of sending.parts ?? []) {
        if (request.destroyed || answered) return;
        sentBytes += part.length;
        if (!request.write(part)) await drained();
      }
      if (sending.unfinished !== true) request.end();
    }
    function drained(): Promise<void> {
      return new Promise((resolve) => {
        const go = (): void => {
          request.off("drain", go).off("close", go);
          resolve();
        };
        request.on("drain", go).on("close", go);
      });
    }
  });
}

/** `total` bytes in parts of 64 KiB, always the same buffer. */
export function* repeated(total: number, fill = "a"): Iterable<Buffer> {
  const part = Buffer.alloc(64 * 1024, fill);
  for (let left = total; left > 0; left -= part.length)
    yield left < part.length ? part.subarray(0, left) : part;
}
