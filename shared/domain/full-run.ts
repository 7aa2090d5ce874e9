import * as z from "zod/mini";

const names = z.exactOptional(
  z.array(z.string().check(z.minLength(1, "is empty"))).check(z.minLength(1, "is empty")),
);

/** What a full run is asked to do, as it travels. */
export const FullRunRequest = z.object({
  /** Compares, and changes nothing. */
  dryRun: z._default(z.boolean(), false),
  /** Treats what is new and what somebody else changed as a lost event. */
  adopt: z._default(z.boolean(), false),
  /** Names of targets, addresses of workloads, repositories; absent: all. */
  targets: names,
  workloads: names,
  images: names,
  /** The fingerprint of a plan that the guard stopped, and that is to be deployed. */
  approve: z.exactOptional(z.string().check(z.minLength(1, "is empty"))),
});
export type FullRunRequest = z.infer<typeof FullRunRequest>;
