import type { ResolveSecret } from "../secret.ts";

/** What every target is made with, besides its own configuration. */
export interface TargetContext {
  readonly secret: ResolveSecret;
  /**
   * What nodes are to pull from that registry host with (`registries[].nodes`); `undefined`: leave what the
   * workload has (`keep`).
   */
  readonly pullCredentials: (host: string) => { readonly username: string; readonly password: string } | undefined;
}
