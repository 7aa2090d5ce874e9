import type * as z from "zod/mini";
import { KubernetesConfig } from "./kubernetes/config.ts";
import { SwarmConfig } from "./swarm/config.ts";
import { SwarmpitConfig } from "./swarmpit/config.ts";

type TargetKindConfig = z.ZodMiniType<{
  readonly name: string;
  readonly kind: string;
  readonly mode?: "act" | "observe" | undefined;
}>;

/**
 * The schema of the entries in `targets` for every kind of target, by the name that `kind` has there. Apart from the
 * list of their code: whoever only reads the configuration needs none of it, and has none of it in its bundle.
 */
export const targetConfigs = {
  swarm: SwarmConfig,
  swarmpit: SwarmpitConfig,
  kubernetes: KubernetesConfig,
} satisfies Readonly<Record<string, TargetKindConfig>>;

/** One entry of `targets`, of any kind. */
export type TargetConfig = z.infer<(typeof targetConfigs)[keyof typeof targetConfigs]>;
