import type { TargetConfig, targetConfigs } from "./config.ts";
import type { Target, TargetContext } from "./target.ts";

/** The code of every kind of target, loaded when it is used. */
const targets = {
  swarm: () => import("./swarm/swarm.ts"),
  swarmpit: () => import("./swarmpit/swarmpit.ts"),
  kubernetes: () => import("./kubernetes/kubernetes.ts"),
} satisfies Readonly<
  Record<keyof typeof targetConfigs, () => Promise<{ create(config: never, context: TargetContext): Target }>>
>;

/** Makes the target that an entry describes. Only that kind's code is loaded; nothing is asked of the target. */
export async function createTarget(config: TargetConfig, context: TargetContext): Promise<Target> {
  const { create } = await targets[config.kind]();
  // Each `create` takes the configuration of its own kind, which is what `kind` has just chosen.
  return create(config as never, context);
}
