import { startBuiltLandfall } from "../emulators/built-landfall.ts";
import type { LandfallOptions, Running } from "./landfall.ts";

/** As often as Cloud Scheduler calls reconcile. */
const sweepEveryMs = 60_000;

/** What is deployed: the built folders over the emulators of Firestore and Pub/Sub. */
export async function startFromFolders(
  { config, env = {} }: LandfallOptions,
  folder: string,
): Promise<Running> {
  const landfall = await startBuiltLandfall({
    built: { folder },
    config,
    env,
  });
  const scheduler = setInterval(() => void landfall.sweep().catch(() => {}), sweepEveryMs);
  return {
    url: landfall.webhook.origin,
    env: {},
    log: landfall.log,
    ledger: landfall.ledger,
    pollMs: 200,
    async remove() {
      clearInterval(scheduler);
      try {
        const ends = await landfall.stop();
        if (ends.some((end) => end !== 0)) throw new Error(`ended with ${ends.join()}:\n${landfall.log()}`);
      } finally {
        await landfall.remove();
      }
    },
  };
}
