import * as z from "zod/mini";

/*
 * The parts of the Docker Engine API's service, task and node objects that are used
 * (https://docs.docker.com/reference/api/engine/version/v1.47/#tag/Service). Nearly everything may be missing.
 */

const Labels = z.nullish(z.record(z.string(), z.string()));
const Platform = z.object({ OS: z.nullish(z.string()), Architecture: z.nullish(z.string()) });

const Placement = z.nullish(z.object({ Platforms: z.nullish(z.array(Platform)) }));

export const ServiceWire = z.object({
  ID: z.string(),
  Version: z.object({ Index: z.number() }),
  Spec: z.object({
    Name: z.string(),
    Labels,
    TaskTemplate: z.object({
      ContainerSpec: z.object({ Image: z.string(), Labels }),
      Placement,
    }),
    Mode: z.nullish(
      z.object({
        Replicated: z.nullish(z.object({ Replicas: z.nullish(z.number()) })),
        Global: z.nullish(z.unknown()),
        ReplicatedJob: z.nullish(z.unknown()),
        GlobalJob: z.nullish(z.unknown()),
      }),
    ),
    /** `Monitor` in ns; 0 and absent are the engine's default. */
    UpdateConfig: z.nullish(z.object({ Monitor: z.catch(z.nullish(z.number()), undefined) })),
  }),
  UpdateStatus: z.nullish(z.object({ State: z.nullish(z.string()), Message: z.nullish(z.string()) })),
  /** Only in a list that was asked for it. */
  ServiceStatus: z.catch(
    z.nullish(z.object({ RunningTasks: z.nullish(z.number()), DesiredTasks: z.nullish(z.number()) })),
    undefined,
  ),
});
export type ServiceWire = z.infer<typeof ServiceWire>;

export const TaskWire = z.object({
  ID: z.string(),
  CreatedAt: z.nullish(z.string()),
  /** Absent for the task of a global service. */
  Slot: z.nullish(z.number()),
  NodeID: z.nullish(z.string()),
  Spec: z.nullish(z.object({ ContainerSpec: z.nullish(z.object({ Image: z.nullish(z.string()) })) })),
  Status: z.nullish(z.object({ State: z.nullish(z.string()), Err: z.nullish(z.string()) })),
  DesiredState: z.nullish(z.string()),
});
export type TaskWire = z.infer<typeof TaskWire>;

export const NodeWire = z.object({
  Spec: z.nullish(z.object({ Availability: z.nullish(z.string()) })),
  Description: z.nullish(z.object({ Platform: z.nullish(Platform) })),
});
export type NodeWire = z.infer<typeof NodeWire>;
