import type * as z from "zod/mini";
import { SwarmConfig } from "./swarm/config.ts";
import { SwarmpitConfig } from "./swarmpit/config.ts";
import type { Target, TargetContext } from "./target.ts";

/** What a kind of target brings: the schema of its entries in `targets`, and its code, loaded when it is used. */
interface TargetKind {
  readonly config: z.ZodMiniType<{
    readonly name: string;
    readonly kind: string;
    readonly mode?: "act" | "observe" | undefined;
  }>;
  readonly load: () => Promise<{ create(config: never, context: TargetContext): Target }>;
}

/** Every kind of target, by the name that `kind` has in the configuration. */
export const targets = {
  swarm: { config: SwarmConfig, load: () => import("./swarm/swarm.ts") },
  swarmpit: { config: SwarmpitConfig, load: () => import("./swarmpit/swarmpit.ts") },
} satisfies Readonly<Record<string, TargetKind>>;

/** One entry of `targets`, of any kind. */
export type TargetConfig = z.infer<(typeof targets)[keyof typeof targets]["config"]>;

/** Makes the target that an entry describes. Only that kind's code is loaded; nothing is asked of the target. */
export async function createTarget(config: TargetConfig, context: TargetContext): Promise<Target> {
  const { create } = await targets[config.kind].load();
  // Each `create` takes the configuration of its own kind, which is what `kind` has just chosen.
  return create(config as never, context);
}
