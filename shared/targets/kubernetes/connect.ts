import { readFile } from "node:fs/promises";
import { type Clock, systemClock } from "../../clock.ts";
import { httpClient } from "../../http.ts";
import type { TargetContext } from "../target.ts";
import { gkeAccess } from "./access/gke.ts";
import type { GoogleTokens } from "./access/google-token.ts";
import { readKubeconfig } from "./access/kubeconfig.ts";
import { rereadAccess } from "./access/reread.ts";
import { readPod, readServer } from "./access/server.ts";
import type { Access } from "./access.ts";
import type { KubernetesConfig } from "./config.ts";

/** What access takes from outside of the configuration. */
export interface AccessSources {
  readonly clock: Pick<Clock, "now" | "monotonic" | "sleep">;
  /** The text of a file as it is now. @throws Error with a `code` such as `ENOENT` */
  readonly readFile: (path: string) => Promise<string>;
  readonly googleTokens: (project: string) => Promise<GoogleTokens>;
}

const sources: AccessSources = {
  clock: systemClock,
  readFile: (path) => readFile(path, "utf8"),
  googleTokens: async (project) => (await import("./access/google-token.ts")).googleTokens(project),
};

/** The way to a cluster that an entry of `targets` describes. Nothing is read or asked before its first call. */
export function accessTo(
  config: KubernetesConfig,
  context: Pick<TargetContext, "secret" | "connect">,
  { clock, readFile, googleTokens }: AccessSources = sources,
): Access {
  const { name: target, gke, endpoint, membership, server, ca, token, kubeconfig } = config;
  if (gke !== undefined && endpoint !== undefined) {
    const http = (context.connect ?? httpClient)({});
    return gkeAccess({ target, cluster: gke, endpoint, membership, tokens: googleTokens, http, clock });
  }
  if (server !== undefined && token !== undefined) {
    return rereadAccess(readServer(target, { server, ca, token }, context.secret), clock);
  }
  if (kubeconfig !== undefined) {
    return rereadAccess(
      readKubeconfig({ target, path: kubeconfig, context: config.context, readFile }),
      clock,
    );
  }
  return rereadAccess(readPod(target, context.secret), clock);
}
