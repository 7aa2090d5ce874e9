import { http } from "@google-cloud/functions-framework";
import { drainOnSignals } from "../../../functions/drain.ts";
import { createWebhook } from "../../../functions/webhook.ts";
import { wiringFromEnvironment } from "../../../functions/wiring.ts";
import type { ReceiveDeps } from "../../../shared/flows/receive.ts";

// functions-framework --source=webhook-function.ts --target=webhook: the webhook as it ships, with a bus that accepts at once.
const wiring = wiringFromEnvironment(drainOnSignals());
const bus = { publish: async () => {} };
let shipped: Promise<ReceiveDeps> | undefined;
let accepting: Promise<ReceiveDeps>;
http(
  "webhook",
  createWebhook(() => {
    const made = wiring().receive();
    if (made !== shipped) {
      shipped = made;
      accepting = made.then((deps) => ({ ...deps, bus }));
    }
    return accepting;
  }),
);
