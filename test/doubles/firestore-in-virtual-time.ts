import type { FirestoreClient } from "../../shared/ledger/firestore/wire.ts";
import type { ManualClock } from "./manual-clock.ts";

/**
 * A real Firestore whose time is the test's: what it stores, refuses and finds is its own, and only the times in its
 * answers are exchanged. Its clock is another machine's: nobody sets it when Landfall's is set.
 * @param during stands around each call, so that time does not go by meanwhile
 */
export function inVirtualTime(
  clock: ManualClock,
  during: <T>(act: () => Promise<T>) => Promise<T>,
): (client: FirestoreClient) => FirestoreClient {
  const startMs = clock.now() - clock.monotonic();
  const serverMs = () => startMs + clock.monotonic();
  return (client) => ({
    read: (paths, timeoutMs) =>
      during(async () => ({ ...(await client.read(paths, timeoutMs)), atMs: serverMs() })),
    query: (query, timeoutMs) =>
      during(async () => ({ ...(await client.query(query, timeoutMs)), atMs: serverMs() })),
    count: (query, timeoutMs) => during(() => client.count(query, timeoutMs)),
    commit: (changes, timeoutMs) =>
      during(async () => ({ ...(await client.commit(changes, timeoutMs)), atMs: serverMs() })),
    close: () => during(() => client.close()),
  });
}
