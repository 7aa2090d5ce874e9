import { type HttpClient, type HttpOptions, httpClient } from "../../shared/http.ts";

/** One call as it was made, with the bytes of its bodies. */
export interface CountedCall {
  readonly method: string;
  readonly url: string;
  readonly bytes: number;
}

/** Makes clients that write down what goes through them. */
export function counting(calls: CountedCall[]): (options: HttpOptions) => HttpClient {
  return (options) => {
    const inner = httpClient(options);
    return {
      ...inner,
      async request(request) {
        const { method, url, body, read } = request;
        let bytes = Buffer.byteLength(body ?? "");
        const answer = await inner.request(
          read === undefined
            ? request
            : {
                ...request,
                read: (piece) => {
                  bytes += piece.length;
                  return read(piece);
                },
              },
        );
        calls.push({ method, url, bytes: bytes + answer.body.length });
        return answer;
      },
    };
  };
}

export function bytesOf(calls: readonly CountedCall[]): number {
  return calls.reduce((sum, { bytes }) => sum + bytes, 0);
}
