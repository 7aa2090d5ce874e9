/** A message as Pub/Sub hands it over; the body that Eventarc makes of it is the same. */
export interface PubsubDelivery {
  readonly message: {
    /** The message's JSON, base64. */
    readonly data: string;
    readonly attributes: Readonly<Record<string, string>>;
    readonly messageId: string;
    /** RFC 3339, UTC. */
    readonly publishTime: string;
    readonly orderingKey?: string;
  };
  /** `projects/P/subscriptions/S`. */
  readonly subscription: string;
  /** 1 for the first; absent where nobody counts: Pub/Sub does so only for a subscription with a dead-letter policy. */
  readonly deliveryAttempt?: number;
}

/** `ack`: what the message wants is taken care of. `nack`, or a throw: deliver it again later. */
export type DeliveryHandler = (delivery: PubsubDelivery) => Promise<"ack" | "nack">;

/** Of a Pub/Sub subscription only the first two are this side's matter, the rest is the subscription's own policy. */
export interface DeliverOptions {
  /** Deliveries without an answer at the same time, default 16. */
  readonly maxInFlight?: number;
  /** Without an answer for so long a message is delivered again, default 60 s. */
  readonly ackDeadlineMs?: number;
  /** Wait after the first nack, default 1 s; it doubles with each. */
  readonly minBackoffMs?: number;
  /** Longest wait after a nack, default 60 s. */
  readonly maxBackoffMs?: number;
  /** After so many deliveries, 5 to 100, a message becomes a dead letter; default 20. */
  readonly maxAttempts?: number;
  /** How often to look for messages that another process published, default 1 s. */
  readonly pollMs?: number;
}

export interface Delivering {
  /** Takes no more messages; resolves when those in flight are answered or past their deadline. */
  stop(): Promise<void>;
  /**
   * Resolves when nothing is in flight here and nothing is due: what waits for a redelivery does not count. Pub/Sub does
   * not tell what is due: a second of silence has to do there.
   */
  idle(): Promise<void>;
}

/** A message that was set aside for a person. */
export interface DeadLetter {
  /** Its own, never that of the message it was made from. */
  readonly messageId: string;
  readonly data: string;
  /** The message's own, and after too many deliveries the four `CloudPubSubDeadLetter…` ones. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly orderingKey?: string;
  /** Why it was set aside; absent when it was delivered too often. */
  readonly reason?: string;
  /** Since when it lies there, ms since the epoch. */
  readonly sinceMs: number;
}

/** The receiving side of a bus: at least once, in any order but that of an ordering key. */
export interface Subscriber {
  deliver(handler: DeliveryHandler, options?: DeliverOptions): Delivering;
  /** Newest first. */
  deadLetters(limit?: number): Promise<readonly DeadLetter[]>;
}
