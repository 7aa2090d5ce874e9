import { pubsubBus } from "../../shared/bus/pubsub.ts";
import { systemClock } from "../../shared/clock.ts";

// node publish.ts HOST: publishes one message with Pub/Sub and a metadata server at HOST, then prints, as JSON, which of
// Node's own modules are loaded.
const [, , host = ""] = process.argv;
const bus = pubsubBus({
  topic: { project: "p", id: "landfall" },
  clock: systemClock,
  project: undefined,
  emulatorHost: undefined,
  metadataHost: host,
  origin: `http://${host}`,
  random: Math.random,
});
await bus.publish([{ kind: "continue", workload: "swarm/web", seq: 1 }]);
await bus.close();
const { moduleLoadList } = process as unknown as { readonly moduleLoadList: readonly string[] };
process.stdout.write(JSON.stringify(moduleLoadList));
