import type { Clock } from "../../../clock.ts";
import type { Access, ClusterConnection } from "../access.ts";

/**
 * Tokens of pods last about an hour and are replaced in place. Reading less often than this would miss that for too
 * long; reading at each call would ask a mounted secret's server each time.
 */
const rereadAfterMs = 60_000;

/** Access by what files say: read at the first call, again once a minute, and at once after a 401. */
export function rereadAccess(
  read: () => Promise<ClusterConnection>,
  clock: Pick<Clock, "monotonic">,
): Access {
  let known: { readonly connection: ClusterConnection; readonly atMs: number } | undefined;
  let reading: Promise<ClusterConnection> | undefined;

  /** Callers at the same time share one reading. */
  function fresh(): Promise<ClusterConnection> {
    reading ??= read()
      .then((connection) => {
        known = { connection, atMs: clock.monotonic() };
        return connection;
      })
      .finally(() => {
        reading = undefined;
      });
    return reading;
  }

  return {
    connect: async () =>
      known !== undefined && clock.monotonic() - known.atMs < rereadAfterMs ? known.connection : fresh(),
    renew: fresh,
    close: async () => {},
  };
}
