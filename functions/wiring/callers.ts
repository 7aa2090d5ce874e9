import type { CallerDeps, KnownCaller } from "../caller.ts";
import type { WiringContext } from "./context.ts";
import { perConfig } from "./once.ts";

/** Who may call the reconcile function, and what their proofs are checked with. */
export interface Callers {
  readonly auth: readonly KnownCaller[];
  readonly deps: CallerDeps;
}

/** @param also callers besides the configured ones: a runner's own timer */
export function wireCallers(
  { config, clock }: Pick<WiringContext, "config" | "clock">,
  also: readonly KnownCaller[] = [],
): () => Promise<Callers> {
  return perConfig(config, async (loaded) => {
    const [{ googleCerts }, { httpClient }] = await Promise.all([
      import("../caller.ts"),
      import("../../shared/http.ts"),
    ]);
    return {
      auth: [...loaded.config.reconcile.auth, ...also],
      deps: { now: () => clock.now(), certs: googleCerts(httpClient(), clock), secret: loaded.secret },
    };
  });
}
