import * as z from "zod/mini";

/*
 * Swarmpit's service and task objects (https://github.com/swarmpit/swarmpit, swarmpit.docker.engine.mapper.inbound).
 * Absent values are explicit nulls. A field that decides something is null or well-formed, or the row is not used;
 * a field that only explains falls back to null. A service's `variables` are its environment and may hold secrets:
 * they are not listed, so they are never kept.
 */

const Text = z.nullish(z.string());
const Explanation = z.catch(Text, null);
const Labels = z.nullish(z.array(z.object({ name: z.string(), value: Text })));

/** The spec's image, split at `@`. `tag` is what follows the last colon of `image`: it may be a port and a path. */
const Repository = z.object({ image: Text, tag: Text, imageDigest: Text });

export const SwarmpitService = z.object({
  id: z.string(),
  version: z.number(),
  serviceName: z.string(),
  repository: z.nullish(Repository),
  replicas: z.nullish(z.number()),
  immutable: z.nullish(z.boolean()),
  agent: z.nullish(z.boolean()),
  status: z.nullish(
    z.object({
      tasks: z.nullish(z.object({ running: z.nullish(z.number()), total: z.nullish(z.number()) })),
      /** Docker's `UpdateStatus.State`, word for word. */
      update: Text,
      message: Explanation,
    }),
  ),
  labels: Labels,
  containerLabels: z.catch(Labels, null),
  deployment: z.nullish(
    z.object({
      autoredeploy: z.nullish(z.boolean()),
      /** Raised by one with each redeploy. */
      forceUpdate: z.nullish(z.number()),
      /** Docker has a previous spec. It is not shown. */
      rollbackAllowed: z.nullish(z.boolean()),
    }),
  ),
});
export type SwarmpitService = z.infer<typeof SwarmpitService>;

export const SwarmpitTask = z.object({
  id: z.string(),
  /** `service.slot`; of a global service `service.nodeId`. */
  taskName: Text,
  createdAt: Text,
  repository: z.nullish(z.object({ image: Text, imageDigest: Text })),
  /** Docker's `Status.State`, word for word. */
  state: Text,
  status: z.catch(z.nullish(z.object({ error: Explanation })), null),
  desiredState: Text,
});
export type SwarmpitTask = z.infer<typeof SwarmpitTask>;

/** What a write needs of the service that was read. */
export const SwarmpitHandle = z.object({ id: z.string(), repository: z.nullish(Repository) });
export type SwarmpitHandle = z.infer<typeof SwarmpitHandle>;
