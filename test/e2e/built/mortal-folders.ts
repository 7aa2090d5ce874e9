import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Digest } from "../../../shared/domain/reference.ts";
import { LedgerUnavailableError } from "../../../shared/errors.ts";
import { type BuiltLandfall, startBuiltLandfall } from "../../emulators/built-landfall.ts";
import { createPair, type Pair } from "../pair.ts";
import type { swarm } from "../services.ts";
import { testbed } from "../testbed.ts";
import { type Border, border, type Call, type Side } from "./border.ts";
import { type Crossed, type Crossing, type Guard, grpcWay, httpWay, type Way } from "./ways.ts";

const bed = testbed();
const settledWithinMs = 240_000;
const lookEveryMs = 1_000;
const sweepEveryMs = 5_000;
const ahead = Number.MAX_SAFE_INTEGER;

/** What is deployed, with somebody in every way out of builds who counts, and kills at a call that the test names. */
export interface MortalFolders extends Pair {
  readonly landfall: BuiltLandfall;
  /** What builds has called since it was started or `count` was called. */
  readonly border: Pick<Border, "calls" | "count">;
  /** How often Pub/Sub has called builds, and how often in vain. */
  readonly deliveries: { readonly made: number; readonly lost: number };
  /** Has the webhook told of a push, until it takes it. */
  report(digest: Digest): Promise<void>;
  /** Has builds killed over the push of a new image, and starts it again, unless the rollout ends without that call. */
  dieOver(call: Call, side: Side): Promise<{ readonly digest: Digest; readonly died: boolean }>;
  /** Waits until both services run the digest and nothing is left to do, for any process at any time. */
  settled(digest: Digest): Promise<void>;
  /** A process of builds that has called nobody yet. */
  renew(): Promise<void>;
}

interface MortalFoldersOptions {
  /** Where the built functions are. */
  readonly folders: string;
  readonly engine: ReturnType<typeof swarm>;
  readonly name: string;
  readonly repository: string;
  readonly secret: string;
}

export async function mortalFolders(options: MortalFoldersOptions): Promise<MortalFolders> {
  const { folders, engine, name, repository, secret } = options;
  const { FIRESTORE_EMULATOR_HOST: firestore = "", PUBSUB_EMULATOR_HOST: pubsub = "" } = process.env;
  const folder = await mkdtemp(join(tmpdir(), "landfall-ways-"));
  const pair = await createPair({ engine, name, repository, secret });
  const names = await namesOf(engine, pair.services);
  const counted = border();
  const counting =
    (nameOf: (crossing: Crossing) => string): Guard =>
    (crossing, forward) =>
      counted.cross(nameOf(crossing), forward);

  const published = new Set<string>();
  const acknowledged = new Set<string>();
  const deliveries = { made: 0, lost: 0 };
  const remembering =
    (guard: Guard): Guard =>
    (crossing, forward) =>
      guard(crossing, async () => {
        const answer = await forward();
        for (const id of publishedIn(answer)) published.add(id);
        return answer;
      });
  const open: Guard = (_crossing, forward) => forward();
  let landfall: BuiltLandfall | undefined;
  const socketPath = bed.dockerHost.slice("unix://".length);
  const socket = join(folder, "docker.sock");
  const [toFirestore, toPubsub, toRegistry, toEngine, fromOthers, toBuilds] = await Promise.all([
    grpcWay(
      firestore,
      counting(({ path }) => `Firestore ${path.split("/").at(-1)}`),
    ),
    httpWay({ host: () => pubsub }, remembering(counting(({ path }) => `Pub/Sub ${path.split(":").at(-1)}`))),
    httpWay({ host: () => bed.registry }, counting(registryCall)),
    httpWay(
      { socketPath },
      counting((crossing) => engineCall(crossing, names)),
      socket,
    ),
    httpWay({ host: () => pubsub }, remembering(open)),
    httpWay({ host: () => new URL(landfall?.builds.origin ?? "").host }, async (crossing, forward) => {
      deliveries.made++;
      const answer = await forward().catch(() => undefined);
      if (answer !== undefined && answer.status < 300) acknowledged.add(messageIn(crossing));
      else deliveries.lost++;
      return answer;
    }),
  ]);
  const ways: readonly Way[] = [toFirestore, toPubsub, toRegistry, toEngine, fromOthers, toBuilds];

  landfall = await startBuiltLandfall({
    built: { folder: folders },
    config: configOf(pair, secret, bed.dockerHost),
    env: { PUBSUB_EMULATOR_HOST: fromOthers.host },
    builds: {
      config: configOf(pair, secret, `unix://${socket}`, { url: `http://${toRegistry.host}` }),
      env: { FIRESTORE_EMULATOR_HOST: toFirestore.host, PUBSUB_EMULATOR_HOST: toPubsub.host },
      calledThrough: `http://${toBuilds.host}`,
    },
  });
  const started = landfall;
  const { ledger } = started;
  const renew = async () => {
    await started.builds.stop("SIGKILL");
    counted.letIn();
    await started.startBuilds();
  };

  const stateOf = async (digest: Digest) => {
    const unread = [...published].filter((id) => !acknowledged.has(id));
    const [due, documents] = await Promise.all([ledger.due(ahead, 10), ledger.workloads()]);
    const workloads = documents.map(({ value }) => value);
    const at = workloads.filter((each) => each.deployed?.[each.name] === digest);
    const isSettled = due.length === 0 && unread.length === 0 && at.length === pair.services.length;
    return { isSettled, due, unread, workloads };
  };
  /** Looks until nothing is left to do, or the caller has seen enough. */
  const lookFor = async (digest: Digest, between: () => Promise<"on" | "enough">): Promise<void> => {
    for (const deadline = Date.now() + settledWithinMs; ; ) {
      const state = await stateOf(digest).catch(unlessBusy);
      if (state?.isSettled) return;
      if (Date.now() > deadline) {
        const stuck = JSON.stringify(state, undefined, 1);
        throw new Error(`stuck: ${stuck}\n${started.builds.log()}\n${started.reconcile.log()}`);
      }
      if ((await between()) === "enough") return;
    }
  };

  const here: MortalFolders = {
    ...pair,
    landfall: started,
    border: counted,
    deliveries,
    async report(digest) {
      const { path, headers, body } = pair.delivery(digest);
      for (const deadline = Date.now() + settledWithinMs; ; await pause(lookEveryMs)) {
        const { status } = await fetch(`${started.webhook.origin}${path}`, { method: "POST", headers, body });
        if (status === 202) return;
        // As a registry does: what could not be taken now is sent again.
        if (status !== 503 || Date.now() > deadline) throw new Error(`the delivery was answered ${status}`);
      }
    },
    async dieOver(call, side) {
      let isDead = false;
      const killed = counted
        .dieAt(call, side, () => started.builds.stop("SIGKILL"))
        .then(() => {
          isDead = true;
        });
      const digest = await pair.push();
      await here.report(digest);
      await lookFor(digest, async () => {
        await Promise.race([killed, pause(lookEveryMs)]);
        return isDead ? "enough" : "on";
      });
      if (isDead) await renew();
      else counted.spare();
      return { digest, died: isDead };
    },
    async settled(digest) {
      let sweptMs = Date.now();
      await lookFor(digest, async () => {
        await pause(lookEveryMs);
        if (Date.now() - sweptMs < sweepEveryMs) return "on";
        const answer = await started.sweep().catch(unlessBusy);
        if (answer !== undefined && answer.status !== 200 && answer.status !== 503) {
          throw new Error(`the sweep was answered ${answer.status}`);
        }
        sweptMs = Date.now();
        return "on";
      });
    },
    renew,
    async remove() {
      await started.remove();
      await Promise.all(ways.map((way) => way.close()));
      await rm(folder, { recursive: true });
      await pair.remove();
    },
  };
  return here;
}

/**
 * One service after the other, so that the end of the first has to wake the second by a message.
 * @param host of the engine
 * @param registry more about how the registry is reached
 */
export function configOf({ image }: Pair, secret: string, host: string, registry: object = {}): object {
  return {
    follow: [image],
    webhooks: [{ source: "distribution", secrets: [secret] }],
    registries: [{ host: bed.registry, plainHttp: true, ...registry }],
    targets: [{ name: "swarm", kind: "swarm", host }],
    defaults: { verify: { stableFor: "500ms" }, maxParallel: 1 },
  };
}

/** What a machine that is very busy does to connections and deadlines is no finding: look or call again. */
function unlessBusy(error: unknown): undefined {
  if (error instanceof LedgerUnavailableError) return;
  if (error instanceof TypeError && error.message === "fetch failed") return;
  throw error;
}

function registryCall({ method, path }: Crossing): string {
  return `registry ${method} ${/\/(manifests|blobs)\//.exec(path)?.[1] ?? path}`;
}

/** Versions, ids and names of this test's own are left out: calls of two runs have the same names. */
function engineCall({ method, path }: Crossing, names: ReadonlyMap<string, string>): string {
  let plain = decodeURIComponent(path)
    .replace(/^\/v[\d.]+/, "")
    .replace(/\?version=\d+/, "");
  for (const [name, letter] of names) plain = plain.replace(name, letter);
  return `engine ${method} ${plain.replace(/\?filters=.*"(\w)".*/, " of $1")}`;
}

/** Names and ids of the services, and the letter that stands for each. */
async function namesOf(
  engine: ReturnType<typeof swarm>,
  services: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>();
  for (const service of services) {
    const letter = service.slice(-1);
    names.set((JSON.parse(await engine.inspect(service)) as { readonly ID: string }).ID, letter);
    names.set(service, letter);
  }
  return names;
}

function publishedIn({ status, body }: Crossed): readonly string[] {
  if (status !== 200) return [];
  return (JSON.parse(body.toString()) as { readonly messageIds?: readonly string[] }).messageIds ?? [];
}

function messageIn({ body }: Crossing): string {
  const { message } = JSON.parse(body.toString()) as { readonly message: { readonly messageId: string } };
  return message.messageId;
}
