import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FunctionName } from "../../infra/build/bundle.ts";
import type { Ledger } from "../../shared/ledger/ledger.ts";
import { type Built, type Served, serve } from "../bundles/built.ts";
import { firestoreProject } from "./firestore-emulator.ts";
import {
  type PubsubProject,
  type PubsubTopic,
  pubsubProject,
  type SubscriptionPolicy,
} from "./pubsub-emulator.ts";

export interface BuiltLandfallOptions {
  /** Where the functions are, their packages installed. */
  readonly built: Pick<Built, "folder">;
  /** What `landfall.yaml` says; who may call reconcile is added. */
  readonly config: object;
  /** Variables for all three, in place of what they would be told: those that the configuration names as `${NAME}`. */
  readonly env?: Readonly<Record<string, string>>;
  /** What builds alone sees in another way: everything that it calls may be reached through somebody in between. */
  readonly builds?: {
    readonly config: object;
    readonly env: Readonly<Record<string, string>>;
    /** Origin that Pub/Sub calls in its place. */
    readonly calledThrough: string;
  };
  readonly subscription?: Pick<SubscriptionPolicy, "minimumBackoff" | "maximumBackoff">;
}

/** The functions as they are deployed: each a process in its own folder, Firestore and Pub/Sub between them. */
export interface BuiltLandfall {
  readonly webhook: Served;
  /** The one that was started last. */
  readonly builds: Served;
  readonly reconcile: Served;
  readonly pubsub: PubsubProject;
  readonly topic: PubsubTopic;
  readonly ledger: Ledger;
  /** What all of them have printed. */
  log(): string;
  /** As Cloud Scheduler has it each minute. */
  sweep(): Promise<Response>;
  /** Builds once more, after the one before has ended. */
  startBuilds(): Promise<void>;
  /** @returns how each of them ended */
  stop(signal?: NodeJS.Signals): Promise<readonly (number | NodeJS.Signals | null)[]>;
  /** Ends what still runs and removes what was written. */
  remove(): Promise<void>;
}

const token = "a-token-that-the-scheduler-knows";
const reconcileAuth = { auth: [{ kind: "bearer", token: "${RECONCILE_TOKEN}" }] };

/** Starts the built functions over the emulators, in projects of their own there. */
export async function startBuiltLandfall(options: BuiltLandfallOptions): Promise<BuiltLandfall> {
  const { built, config, subscription = {} } = options;
  const firestore = firestoreProject();
  const pubsub = pubsubProject();
  const ledger = firestore.ledger();
  const folder = await mkdtemp(join(tmpdir(), "landfall-on-google-"));
  const configOf = async (name: string, what: object) => {
    const path = join(folder, `${name}.yaml`);
    await writeFile(path, JSON.stringify({ ...what, reconcile: reconcileAuth }, undefined, 2));
    return path;
  };
  const env = {
    LANDFALL_CONFIG: await configOf("landfall", config),
    LANDFALL_LEDGER: `firestore:${firestore.project}`,
    LANDFALL_BUS: `pubsub:projects/${pubsub.project}/topics/landfall`,
    FIRESTORE_EMULATOR_HOST: firestore.host,
    PUBSUB_EMULATOR_HOST: pubsub.host,
    METADATA_SERVER_DETECTION: "none",
    RECONCILE_TOKEN: token,
    ...options.env,
  };
  const own = options.builds;
  const buildsEnv =
    own === undefined ? env : { ...env, ...own.env, LANDFALL_CONFIG: await configOf("builds", own.config) };
  const started: Served[] = [];
  const start = async (name: FunctionName) => {
    const served = await serve(built, name, name === "builds" ? buildsEnv : env);
    started.push(served);
    return served;
  };
  /** As the Terraform module has Pub/Sub call it. */
  const endpointOf = (origin: string) => {
    const topic = `projects/${pubsub.project}/topics/landfall`;
    return `${origin}/?__GCP_CloudEventsMode=CUSTOM_PUBSUB_${encodeURIComponent(topic)}`;
  };
  let subscriptionPath: string | undefined;
  const remove = async () => {
    await Promise.all(started.map((served) => served.stop("SIGKILL")));
    // Else Pub/Sub calls what is gone for as long as it runs.
    if (subscriptionPath !== undefined) await pubsub.call("DELETE", subscriptionPath);
    await ledger.close();
    await rm(folder, { recursive: true, force: true });
  };

  try {
    const starts = [start("webhook"), start("builds"), start("reconcile")] as const;
    // One that fails ends the others, and not before they have started.
    await Promise.allSettled(starts);
    const [webhook, first, reconcile] = await Promise.all(starts);
    let builds = first;
    const topic = await pubsub.createTopic("landfall", {
      ...subscription,
      ackDeadlineSeconds: 600,
      maxDeliveryAttempts: 50,
      pushEndpoint: endpointOf(own?.calledThrough ?? builds.origin),
    });
    subscriptionPath = topic.subscription;
    return {
      webhook,
      reconcile,
      pubsub,
      topic,
      ledger,
      get builds() {
        return builds;
      },
      log: () => started.map((served) => served.log()).join(""),
      sweep: () =>
        fetch(`${reconcile.origin}/reconcile`, {
          method: "POST",
          headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
          body: '{"mode":"sweep"}',
        }),
      async startBuilds() {
        builds = await start("builds");
        if (own !== undefined) return;
        const pushConfig = { pushEndpoint: endpointOf(builds.origin) };
        await pubsub.call("POST", `${topic.subscription}:modifyPushConfig`, { pushConfig });
      },
      stop: (signal) => Promise.all([webhook, builds, reconcile].map((served) => served.stop(signal))),
      remove,
    };
  } catch (error) {
    await remove();
    throw error;
  }
}
