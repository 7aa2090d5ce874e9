import { randomUUID } from "node:crypto";
import type { EmbeddedStore } from "../../embedded-store.ts";
import type { DeadLetter } from "../subscriber.ts";

export interface QueuedMessage {
  readonly data: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly orderingKey?: string | undefined;
}

/** A message that is this process's to deliver until its deadline. */
export interface Claimed extends QueuedMessage {
  readonly seq: number;
  readonly claim: string;
  readonly id: string;
  readonly publishedMs: number;
  /** Deliveries so far, this one counted. */
  readonly attempts: number;
  readonly deadlineMs: number;
}

interface MessageRow {
  readonly seq: number;
  readonly id: string;
  readonly data: string;
  readonly attributes: string;
  readonly ordering_key: string | null;
  readonly published_ms: number;
  readonly attempts: number;
}

interface DeadLetterRow {
  readonly id: string;
  readonly data: string;
  readonly attributes: string;
  readonly ordering_key: string | null;
  readonly reason: string | null;
  readonly dead_ms: number;
}

/**
 * The messages of an embedded store. `due_ms` is when a message may be handed out next: at once when it is new,
 * at the deadline while somebody has it, after the backoff when it was refused. A message of a key is free only
 * when no earlier one of its key is left. An answer counts while its claim does: a later delivery makes it void.
 */
export type Queue = ReturnType<typeof messageQueue>;

const free = `(ordering_key IS NULL OR NOT EXISTS (
  SELECT 1 FROM messages AS earlier WHERE earlier.ordering_key = messages.ordering_key AND earlier.seq < messages.seq))`;

export function messageQueue(store: EmbeddedStore, subscription: string) {
  const { database } = store;
  const [, project = "", , name = ""] = subscription.split("/");
  const insert = database.prepare(
    `INSERT INTO messages (id, data, attributes, ordering_key, published_ms, due_ms)
     VALUES (:id, :data, :attributes, :key, :nowMs, :nowMs)`,
  );
  const next = database.prepare(`SELECT due_ms FROM messages WHERE ${free} ORDER BY due_ms, seq LIMIT 1`);
  const take = database.prepare(
    `UPDATE messages SET claim = :claim, attempts = attempts + 1, due_ms = :deadlineMs
     WHERE seq IN (SELECT seq FROM messages WHERE due_ms <= :nowMs AND ${free} ORDER BY due_ms, seq LIMIT :limit)
     RETURNING *`,
  );
  const remove = database.prepare("DELETE FROM messages WHERE seq = ? AND claim = ?");
  const postpone = database.prepare(
    "UPDATE messages SET due_ms = ?, claim = NULL WHERE seq = ? AND claim = ?",
  );
  const bury = database.prepare(
    `INSERT INTO dead_letters (id, data, attributes, ordering_key, reason, dead_ms)
     VALUES (:id, :data, :attributes, :key, :reason, :nowMs)`,
  );
  const buried = database.prepare("SELECT * FROM dead_letters ORDER BY seq DESC LIMIT ?");

  return {
    /** All or none. @returns their ids */
    put(messages: readonly QueuedMessage[], nowMs: number): readonly string[] {
      const rows = messages.map(({ data, attributes, orderingKey }) => ({
        id: randomUUID(),
        data,
        attributes: JSON.stringify(attributes),
        key: orderingKey ?? null,
        nowMs,
      }));
      const [first] = rows;
      if (first === undefined) return [];
      if (rows.length === 1) insert.run(first);
      else store.transaction(() => rows.map((row) => insert.run(row)));
      return rows.map(({ id }) => id);
    },

    /** When the next message may be handed out; in the past for one that is due. */
    nextDueMs(): number | undefined {
      const row = next.get();
      return row === undefined ? undefined : Number(row.due_ms);
    },

    /** Takes messages that are due, oldest first. Lost in a power failure, a claim is only made again. */
    claim(limit: number, nowMs: number, deadlineMs: number): readonly Claimed[] {
      const claim = randomUUID();
      const rows = store.relaxed(() => take.all({ claim, limit, nowMs, deadlineMs }));
      return (rows as unknown as MessageRow[])
        .toSorted((a, b) => a.seq - b.seq)
        .map((row) => ({
          seq: row.seq,
          claim,
          id: row.id,
          data: row.data,
          attributes: JSON.parse(row.attributes),
          ...(row.ordering_key === null ? {} : { orderingKey: row.ordering_key }),
          publishedMs: row.published_ms,
          attempts: row.attempts,
          deadlineMs,
        }));
    },

    /** Lost in a power failure, an acknowledged message is only delivered again. */
    acknowledge({ seq, claim }: Claimed): void {
      store.relaxed(() => remove.run(seq, claim));
    },

    postpone({ seq, claim }: Claimed, untilMs: number): void {
      store.relaxed(() => postpone.run(untilMs, seq, claim));
    },

    /** Moves a message to the dead letters, unless somebody else has it by now; says whether it did. */
    giveUp(message: Claimed, attempts: number, nowMs: number): boolean {
      return store.transaction(() => {
        if (remove.run(message.seq, message.claim).changes === 0) return false;
        bury.run({
          id: randomUUID(),
          data: message.data,
          attributes: JSON.stringify({
            ...message.attributes,
            CloudPubSubDeadLetterSourceDeliveryCount: String(attempts),
            CloudPubSubDeadLetterSourceSubscription: name,
            CloudPubSubDeadLetterSourceSubscriptionProject: project,
            CloudPubSubDeadLetterSourceTopicPublishTime: new Date(message.publishedMs).toISOString(),
          }),
          key: message.orderingKey ?? null,
          reason: null,
          nowMs,
        });
        return true;
      });
    },

    setAside({ data, attributes }: QueuedMessage, reason: string, nowMs: number): void {
      bury.run({ id: randomUUID(), data, attributes: JSON.stringify(attributes), key: null, reason, nowMs });
    },

    deadLetters(limit: number): readonly DeadLetter[] {
      return (buried.all(limit) as unknown as DeadLetterRow[]).map((row) => ({
        messageId: row.id,
        data: row.data,
        attributes: JSON.parse(row.attributes),
        ...(row.ordering_key === null ? {} : { orderingKey: row.ordering_key }),
        ...(row.reason === null ? {} : { reason: row.reason }),
        sinceMs: row.dead_ms,
      }));
    },
  };
}
