import * as z from "zod/mini";
import { DigestText } from "./push.ts";
import { isTag, type Repository } from "./reference.ts";
import type { WorkloadId } from "./workload.ts";

const Address = z.custom<WorkloadId>(
  (id) => typeof id === "string" && /^[^/]+\/.+$/.test(id),
  "expected target/name",
);
const Image = z.custom<Repository>(
  (name) => typeof name === "string" && name.includes("/"),
  "expected host/path",
);
const Tag = z.custom<string>(isTag, "expected a tag");
const Reason = z.optional(z.string().check(z.maxLength(500)));
/** What lifts a person's decision: `next`, something newer than all that was known then; `release`, only a person. */
const Until = z._default(z.enum(["next", "release"]), "next");

/** What a person asks for. */
export const Order = z.discriminatedUnion("do", [
  /** Brings a workload to what a tag points to now, and pins it there. */
  z.object({
    do: z.literal("deploy"),
    workload: Address,
    image: Image,
    tag: Tag,
    until: Until,
    reason: Reason,
  }),
  /**
   * Brings a workload back to what was verified before, and pins it there; `channel`: the channel that it is on too. `seen`:
   * number of the newest rollout that the person knew of, so that two who act at once do not go back twice.
   */
  z.object({
    do: z.literal("rollback"),
    workload: Address,
    until: Until,
    channel: z.optional(z.boolean()),
    seen: z.optional(z.number()),
    reason: Reason,
  }),
  /** A digest that must not be deployed: to one workload, or to any. */
  z.object({
    do: z.literal("hold"),
    image: Image,
    digest: DigestText,
    workload: z.optional(Address),
    reason: Reason,
  }),
  /** Takes back holds and pins: of a workload, or the hold of a digest everywhere. */
  z.object({
    do: z.literal("release"),
    workload: z.optional(Address),
    image: z.optional(Image),
    digest: z.optional(DigestText),
    reason: Reason,
  }),
  /** Leaves a workload alone until it is resumed, or until a time, ms since the epoch. */
  z.object({ do: z.literal("pause"), workload: Address, untilMs: z.optional(z.number()), reason: Reason }),
  z.object({ do: z.literal("resume"), workload: Address, reason: Reason }),
  /** Says that a build on record is the head of its image now, whatever git says: named by its tag or its commit. */
  z.object({ do: z.literal("accept"), image: Image, tag: Tag, reason: Reason }),
  /** Takes an event as if it had just been heard. */
  z.object({ do: z.literal("replay"), of: z.string(), reason: Reason }),
]);
export type Order = z.infer<typeof Order>;
