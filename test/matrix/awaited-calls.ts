import { HttpError, type HttpOptions, httpClient } from "../../shared/http.ts";
import type { ManualClock } from "../doubles/manual-clock.ts";

/** Calls under way to systems that answer without time going by: until they have, the clock stands still. */
export interface AwaitedCalls {
  add(call: string): void;
  delete(call: string): void;
  readonly size: number;
  /** The next one has ended. */
  ended(): Promise<void>;
  /** Counts as a call until it is done. */
  during<T>(act: () => Promise<T>): Promise<T>;
}

export function awaitedCalls(): AwaitedCalls {
  const calls = new Set<string>();
  let next = Promise.withResolvers<void>();
  let acts = 0;
  const remove = (call: string) => {
    if (!calls.delete(call)) return;
    next.resolve();
    next = Promise.withResolvers();
  };
  return {
    add: (call) => void calls.add(call),
    delete: remove,
    get size() {
      return calls.size;
    },
    ended: () => next.promise,
    during: async (act) => {
      const call = `act ${++acts}`;
      calls.add(call);
      return act().finally(() => remove(call));
    },
  };
}

/** Lets everything run until it waits for time to go by. */
export async function calm(awaited: AwaitedCalls): Promise<void> {
  for (let turns = 0; turns < 6; turns++) {
    await new Promise((resolve) => setImmediate(resolve));
    while (awaited.size > 0) {
      await awaited.ended();
      turns = 0;
    }
  }
}

/** Clients whose deadlines are on the manual clock; it stands still while an answer can come. */
export function connecting(clock: ManualClock, awaited: AwaitedCalls) {
  let calls = 0;
  return (options: HttpOptions) => {
    const http = httpClient({ ...options, connections: 128 });
    return {
      ...http,
      request: (request: Parameters<typeof http.request>[0]) =>
        new Promise<Awaited<ReturnType<typeof http.request>>>((resolve, reject) => {
          const call = `${++calls}`;
          awaited.add(call);
          const cancel = clock.timer(request.deadlineMs, () => {
            awaited.delete(call);
            reject(new HttpError("deadline", true, `no answer within ${request.deadlineMs} ms`));
          });
          const ended = () => {
            cancel();
            awaited.delete(call);
          };
          const headers = { ...request.headers, "x-call": call };
          http
            .request({ ...request, headers })
            .finally(ended)
            .then(resolve, reject);
        }),
    };
  };
}
