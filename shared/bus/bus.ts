import * as z from "zod/mini";
import { ImagePush } from "../domain/push.ts";
import type { WorkloadId } from "../domain/workload.ts";

/** A push that a source reported; `event` becomes the id of its event in the ledger. */
const PushMessage = z.object({
  kind: z.literal("push"),
  event: z.string(),
  /** When the delivery arrived, ms since the epoch. */
  heardMs: z.number(),
  push: ImagePush,
});

/** An invocation ran out of time: go on with this rollout. */
const ContinueMessage = z.object({
  kind: z.literal("continue"),
  workload: z.custom<WorkloadId>((id) => typeof id === "string" && id.includes("/"), "expected target/name"),
  seq: z.number(),
});

/** What travels on the bus, as JSON in a Pub/Sub message's data. */
export const Message = z.discriminatedUnion("kind", [PushMessage, ContinueMessage]);
export type Message = z.infer<typeof Message>;
export type PushMessage = z.infer<typeof PushMessage>;

/** What flows need of a bus: at-least-once, in any order. */
export interface Bus {
  /**
   * Resolves when all messages are durable, or none is.
   * @throws BusUnavailableError (retryable) when that cannot be said
   */
  publish(messages: readonly Message[]): Promise<void>;
  /** Sets a message that can never be used aside, with the reason, for a person. */
  deadLetter(data: string, attributes: Readonly<Record<string, string>>, reason: string): Promise<void>;
  close(): Promise<void>;
}
