import { systemClock } from "../../../shared/clock.ts";
import { startSandbox } from "../systems.ts";

// Forked: a sandbox registry and a small swarm; sends { registry, engine } and lives until its parent disconnects.
const { registry, engine } = await startSandbox(systemClock);
process.send?.({ registry: registry.host, engine });
process.on("disconnect", () => process.exit(0));
