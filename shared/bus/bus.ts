import * as z from "zod/mini";
import { ImageBuild } from "../domain/build.ts";
import { FullRunRequest } from "../domain/full-run.ts";
import { Order } from "../domain/order.ts";
import { ImagePush } from "../domain/push.ts";
import type { Repository } from "../domain/reference.ts";
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

/** A person decides about a channel: moves it, or says what becomes of one that somebody else moved. */
const PromoteMessage = z.object({
  kind: z.literal("promote"),
  event: z.string(),
  heardMs: z.number(),
  image: z.custom<Repository>((name) => typeof name === "string" && name.includes("/"), "expected host/path"),
  channel: z.string(),
  /** `move`: to what it is to have now; `adopt`: what was found there is right; `restore`: what we had put there is. */
  how: z.enum(["move", "adopt", "restore"]),
  /** Who asks for it. */
  by: z.string(),
});

/** A person asks for something. */
const OrderMessage = z.object({
  kind: z.literal("order"),
  event: z.string(),
  heardMs: z.number(),
  /** Who asks for it. */
  by: z.string(),
  order: Order,
});

/** Somebody asks for a full run. */
const ReconcileMessage = z.object({
  kind: z.literal("reconcile"),
  event: z.string(),
  heardMs: z.number(),
  /** Who asks for it. */
  by: z.string(),
  run: FullRunRequest,
});

/** What travels on the bus, as JSON in a Pub/Sub message's data. */
export const Message = z.discriminatedUnion("kind", [
  PushMessage,
  ImageBuild,
  ContinueMessage,
  PromoteMessage,
  OrderMessage,
  ReconcileMessage,
]);
export type Message = z.infer<typeof Message>;
export type OrderMessage = z.infer<typeof OrderMessage>;
export type PromoteMessage = z.infer<typeof PromoteMessage>;
export type ReconcileMessage = z.infer<typeof ReconcileMessage>;
export type PushMessage = z.infer<typeof PushMessage>;

/** What flows need of a bus: at-least-once, in any order. */
export interface Bus {
  /**
   * Resolves when all messages are durable, or none is.
   * @throws BusUnavailableError (retryable) when that cannot be said
   */
  publish(messages: readonly Message[]): Promise<void>;
  /**
   * Publishes one text as somebody outside does, e.g. CI a build in a form of its own; what takes it decides what it is.
   * @returns the id that it is delivered under
   * @throws BusUnavailableError (retryable) when it cannot be said that it is durable
   */
  publishText(data: string): Promise<string>;
  /** Sets a message that can never be used aside, with the reason, for a person. */
  deadLetter(data: string, attributes: Readonly<Record<string, string>>, reason: string): Promise<void>;
  close(): Promise<void>;
}
