import type { CloudEvent } from "@google-cloud/functions-framework";
import { createBuilds } from "../../functions/builds.ts";
import { type FlowWiring, wireFlows } from "../../functions/wiring/flows.ts";
import { systemClock } from "../../shared/clock.ts";
import { loadConfig } from "../../shared/config/load.ts";
import type { Digest } from "../../shared/domain/reference.ts";
import type { Ledger } from "../../shared/ledger/ledger.ts";
import { silentLog } from "../../shared/log.ts";
import { type FirestoreProject, firestoreProject } from "../emulators/firestore-emulator.ts";
import { pubsubProject } from "../emulators/pubsub-emulator.ts";

/** A message of CI, as the bus delivers it. */
export interface BuildDelivery {
  readonly messageId: string;
  /** From 1: how often it has been delivered. */
  readonly attempt: number;
  readonly build: object;
}

/** An intent or a plan, as the ledger accepted it. */
export interface Accepted {
  readonly kind: "intent" | "plan";
  /** The repository. */
  readonly image: string;
  readonly to: Digest;
  /** Head of the image at that moment. */
  readonly head: Digest | undefined;
}

/** Several instances of the builds function on one Firestore, each wired by itself, as the cloud runs them. */
export interface Instances {
  /** Hands a message to the n-th of them, and again while it is not acknowledged. */
  deliver(instance: number, delivery: BuildDelivery): Promise<void>;
  accepted(): readonly Accepted[];
  readonly ledger: Ledger;
  /** Of an instance that is started later, whose ledger's clock is so much ahead. */
  later(aheadMs: number): FlowWiring;
  close(): Promise<void>;
}

const maxAttempts = 10;

export async function startInstances(count: number, config: object): Promise<Instances> {
  const project = firestoreProject();
  const pubsub = pubsubProject();
  await pubsub.createTopic("landfall");
  const loaded = await loadConfig({ path: "a test's", text: JSON.stringify(config) });
  const watch: Watch = { accepted: [], heads: new Map(), holders: new Set() };
  const wirings: FlowWiring[] = [];
  const start = (ledger: (inner: Ledger) => Ledger) => {
    const wiring = wireFlows({
      settings: {
        ledger: { kind: "firestore", projectId: project.project, emulatorHost: project.host },
        bus: { kind: "pubsub", topic: { project: pubsub.project, id: "landfall" } },
        pubsub: { project: pubsub.project, emulatorHost: pubsub.host, metadataHost: undefined },
      },
      config: async () => loaded,
      log: silentLog,
      clock: systemClock,
      ledger,
    });
    wirings.push(wiring);
    return wiring;
  };
  const handlers = Array.from({ length: count }, () => {
    const wiring = start((inner) => watched(inner, watch));
    return createBuilds(() => wiring);
  });
  const ledger = project.ledger();

  return {
    async deliver(instance, delivery) {
      const handle = handlers[instance];
      if (handle === undefined) throw new Error(`there is no instance ${instance}`);
      for (let attempt = delivery.attempt; ; attempt++) {
        try {
          return await handle(eventOf({ ...delivery, attempt }, project));
        } catch (error) {
          if (attempt === maxAttempts) throw error;
        }
      }
    },
    accepted: () =>
      watch.accepted.map(({ rev, ...rest }) => {
        const key = `${rest.image} ${rev}`;
        if (!watch.heads.has(key)) throw new Error(`nobody saw ${key} being written`);
        return { ...rest, head: watch.heads.get(key) };
      }),
    ledger,
    later: (aheadMs) => start((inner) => ({ ...inner, clock: async () => (await inner.clock()) + aheadMs })),
    async close() {
      await Promise.all(wirings.map((wiring) => wiring.close()));
      await ledger.close();
    },
  };
}

function eventOf(
  { messageId, attempt, build }: BuildDelivery,
  { project }: FirestoreProject,
): CloudEvent<unknown> {
  const data = Buffer.from(JSON.stringify(build)).toString("base64");
  return {
    specversion: "1.0",
    id: messageId,
    type: "google.cloud.pubsub.topic.v1.messagePublished",
    source: `//pubsub.googleapis.com/projects/${project}/topics/landfall`,
    data: { message: { data, messageId }, deliveryAttempt: attempt },
  };
}

/** Sees intents and plans as the ledger accepts them, and which head the image had then. */
interface Watch {
  readonly accepted: (Omit<Accepted, "head"> & { readonly image: string; readonly rev: number })[];
  /** Heads of images by id and revision. */
  readonly heads: Map<string, Digest | undefined>;
  readonly holders: Set<string>;
}

function watched(inner: Ledger, { accepted, heads, holders }: Watch): Ledger {
  return {
    ...inner,
    async commit(writer, writes, checks = []) {
      const outcome = await inner.commit(writer, writes, checks);
      if (outcome.kind === "conflict") return outcome;
      for (const { collection, id, expect: rev, value } of writes) {
        if (collection === "images") {
          heads.set(`${id} ${rev + 1}`, value.head?.digest);
          for (const { intent } of Object.values(value.channels)) {
            if (intent === undefined || holders.has(intent.lease.holder)) continue;
            holders.add(intent.lease.holder);
            accepted.push({ kind: "intent", to: intent.to.digest, image: id, rev: rev + 1 });
          }
        }
        if (collection === "rollouts" && rev === 0) {
          for (const { repository, digest } of Object.values(value.to)) {
            const check = checks.find((each) => each.collection === "images" && each.id === repository);
            if (check === undefined) throw new Error(`the plan ${id} does not depend on ${repository}`);
            accepted.push({ kind: "plan", to: digest, image: repository, rev: check.expect });
          }
        }
      }
      return outcome;
    },
  };
}
