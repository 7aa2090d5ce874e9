import type { CloudEvent } from "@google-cloud/functions-framework";
import { createBuilds } from "../../functions/builds.ts";
import { explain } from "../../functions/cli/explanation.ts";
import { renderExplanation } from "../../functions/cli/render/explanation.ts";
import type { ImageOptions } from "../../functions/local/sandbox/registry/image.ts";
import {
  type SandboxRegistry,
  startSandboxRegistry,
} from "../../functions/local/sandbox/registry/registry.ts";
import { type Wiring, wire } from "../../functions/wiring.ts";
import type { Bus, PushMessage } from "../../shared/bus/bus.ts";
import type { DeadLetter, PubsubDelivery } from "../../shared/bus/subscriber.ts";
import { loadConfig } from "../../shared/config/load.ts";
import type { Order } from "../../shared/domain/order.ts";
import type { Digest } from "../../shared/domain/reference.ts";
import { type FlowDeps, newBudget } from "../../shared/flows/deps.ts";
import { type FullRunOrder, fullRun } from "../../shared/flows/full-run.ts";
import { type SweepReport, sweep } from "../../shared/flows/sweep.ts";
import type { EventDocument, Ledger, WorkloadDocument } from "../../shared/ledger/ledger.ts";
import type { DriftRow } from "../../shared/ledger/report-document.ts";
import type { Severity } from "../../shared/log.ts";
import { type FaultyLedgerOptions, faultyLedger } from "../doubles/faulty-ledger.ts";
import { type FaultyProxy, faultyProxy } from "../doubles/faulty-proxy.ts";
import { type ManualClock, manualClock } from "../doubles/manual-clock.ts";
import { awaitedCalls, calm, connecting } from "./awaited-calls.ts";
import { ledgerUnderTest } from "./ledger-under-test.ts";
import { type Place, type PlaceOptions, startPlace } from "./place.ts";

export interface MatrixOptions {
  /** Default: one Swarm, `swarm`. */
  readonly targets?: readonly PlaceOptions[];
  /** More of `defaults`, as YAML between braces, e.g. `maxParallel: 1`. */
  readonly defaults?: string;
  /** More of the configuration, as YAML; made with the repository that is pushed to. */
  readonly more?: (repository: string) => string;
  /** What befalls the ledger's calls. */
  readonly ledger?: FaultyLedgerOptions;
  /** Who is told what, as YAML between brackets. */
  readonly notify?: string;
  /** Called with the name of each call that nobody will answer, before any is made. */
  readonly silence?: (onSilence: (call: string) => void) => void;
}

export interface Heard {
  readonly tag?: string;
  readonly repository?: string;
  /** What the payload names, if anything. */
  readonly digest?: Digest;
}

/** The whole product in one process: its configuration is a text, and everything it talks to is a real server. */
export interface Matrix {
  readonly clock: ManualClock;
  readonly registry: SandboxRegistry;
  /** The way from Landfall to the registry; nodes and Swarmpit have their own. */
  readonly toRegistry: FaultyProxy;
  readonly ledger: Ledger;
  readonly deps: FlowDeps & { readonly bus: Bus };
  /** What was logged as `notice` or worse. */
  readonly told: readonly { readonly severity: Severity; readonly message: string }[];
  /** Everything that was logged. */
  readonly logged: readonly string[];
  /** Whether each delivery of a message was acknowledged. */
  readonly deliveries: readonly ("ack" | "nack")[];
  place(name?: string): Place;
  /** The image that a service names at first, `…/acme/web:v1@sha256:…`. */
  image(digest: Digest, tag?: string): string;
  push(tag?: string, options?: Partial<ImageOptions>): Digest;
  /** Somebody moves the tag `v1` to an image that was pushed before. */
  moveBack(digest: Digest): void;
  /** Puts the message of a webhook on the bus; nothing moves yet. */
  publish(event: string, heard?: Heard): Promise<void>;
  /** The same, and lets everything that follows from it come to rest. */
  hear(event: string, heard?: Heard): Promise<void>;
  /** Hands one message to the builds function as it is. */
  deliver(messageId: string, data: string): Promise<"ack" | "nack">;
  /** Lets what is under way come to rest, as much time as that takes. */
  rest(): Promise<void>;
  /** Time goes by, and whatever is due in it happens; no sweep runs. */
  pass(ms: number): Promise<void>;
  sweep(): Promise<SweepReport>;
  /** A full run, and everything that it begins. */
  compare(order?: Partial<FullRunOrder>): Promise<readonly DriftRow[]>;
  /** Somebody gives an order, and everything that follows from it comes to rest. */
  order(event: string, order: Order): Promise<void>;
  /** A sweep a minute until nothing is open. */
  carryOn(): Promise<void>;
  event(id: string): Promise<EventDocument>;
  workload(id: `${string}/${string}`): Promise<WorkloadDocument>;
  /** `state: reason` of each rollout of a workload, oldest first. */
  history(id: `${string}/${string}`): Promise<readonly string[]>;
  deadLetters(): Promise<readonly DeadLetter[]>;
  /** What `landfall explain` prints. */
  explain(asked?: string): Promise<string>;
  close(): Promise<void>;
}

const repository = "acme/web";
const maxSweeps = 40;

export async function matrix(options: MatrixOptions = {}): Promise<Matrix> {
  const clock = manualClock();
  /** Calls that an answer will come to without time going by. */
  const awaited = awaitedCalls();
  const onSilence = (call: string) => awaited.delete(call);
  options.silence?.(onSilence);
  const ledgerHere = await ledgerUnderTest(clock, awaited);
  const registry = await startSandboxRegistry();
  const toRegistry = await faultyProxy({ to: registry.url, onSilence });
  const places = await Promise.all(
    (options.targets ?? [{ name: "swarm", kind: "swarm" }]).map((each) =>
      startPlace(each, { clock, registry, onSilence }),
    ),
  );
  const config = `
follow: ["${registry.host}/acme/*"]
registries: [{ host: "${registry.host}", url: "${toRegistry.url}", plainHttp: true }]
targets: [${places.map((place) => place.config).join(", ")}]
defaults: { verify: { timeout: 2m, stableFor: 15s }, ${options.defaults ?? ""} }
notify: [${options.notify ?? ""}]
${options.more?.(`${registry.host}/${repository}`) ?? ""}
`;
  const logged: string[] = [];
  const told: { severity: Severity; message: string }[] = [];
  const loaded = loadConfig({ path: "landfall.yaml", env: {}, read: () => config });
  const wiring: Wiring = wire({
    settings: { ledger: { kind: "memory" } },
    config: () => loaded,
    clock,
    timer: clock.timer,
    log: {
      write: (severity, message, fields) => {
        logged.push(`${severity} ${message} ${JSON.stringify(fields ?? {})}`);
        if (severity !== "debug" && severity !== "info") told.push({ severity, message });
      },
    },
    connect: connecting(clock, awaited),
    ledger: (inner) => faultyLedger(ledgerHere(inner), options.ledger ?? {}),
  });
  const deps = await wiring.flows();

  /** Moves time from one alarm to the next until the work is done. */
  async function run<T>(work: Promise<T>): Promise<T> {
    let done = false;
    const end = () => {
      done = true;
    };
    work.then(end, end);
    for (;;) {
      await calm(awaited);
      if (done) return work;
      const nextMs = clock.nextMs();
      if (nextMs === undefined) throw new Error("nothing moves, and the work is not done");
      await clock.advance(nextMs);
    }
  }

  const builds = createBuilds(() => wiring);
  const handle = async (delivery: Pick<PubsubDelivery, "message" | "deliveryAttempt">) => {
    const event = { specversion: "1.0", id: delivery.message.messageId, data: delivery };
    try {
      await builds(event as unknown as CloudEvent<unknown>);
      return "ack";
    } catch {
      return "nack";
    }
  };
  const deliveries: ("ack" | "nack")[] = [];
  const subscriber = await wiring.subscriber();
  const delivering = subscriber.deliver(
    async (delivery) => {
      const answer = await handle(delivery);
      deliveries.push(answer);
      return answer;
    },
    // Nobody else publishes here, and each look is an alarm that time stops at.
    { pollMs: 3_600_000, ackDeadlineMs: 90_000 },
  );
  const messageOf = (event: string, { tag = "v1", repository: path = repository, digest }: Heard) =>
    ({
      kind: "push",
      event,
      heardMs: clock.now(),
      push: {
        source: "distribution",
        registry: registry.host,
        repository: path,
        tag,
        ...(digest === undefined ? {} : { digest }),
      },
    }) satisfies PushMessage;

  const images = new Map<Digest, ImageOptions>();
  const world: Matrix = {
    clock,
    registry,
    toRegistry,
    ledger: deps.ledger,
    deps,
    told,
    logged,
    deliveries,
    place: (name = "swarm") => {
      const found = places.find((each) => each.name === name);
      if (found === undefined) throw new Error(`no target ${name} in this world`);
      return found;
    },
    image: (digest, tag = "v1") => `${registry.host}/${repository}:${tag}@${digest}`,
    push: (tag = "v1", image = {}) => {
      const pushed = { content: `push ${images.size + 1}`, ...image };
      const digest = registry.push(repository, tag, pushed);
      images.set(digest, pushed);
      return digest;
    },
    moveBack: (digest) => void registry.push(repository, "v1", images.get(digest) ?? {}),
    publish: (event, heard = {}) => deps.bus.publish([messageOf(event, heard)]),
    hear: async (event, heard = {}) => {
      await world.publish(event, heard);
      await world.rest();
    },
    deliver: (messageId, data) =>
      run(
        handle({
          message: { messageId, data, attributes: {}, publishTime: new Date(clock.now()).toISOString() },
          deliveryAttempt: 1,
        }),
      ),
    rest: () => run(delivering.idle()),
    pass: async (ms) => {
      const untilMs = clock.monotonic() + ms;
      for (;;) {
        await calm(awaited);
        const leftMs = untilMs - clock.monotonic();
        if (leftMs <= 0) return;
        await clock.advance(Math.min(leftMs, clock.nextMs() ?? leftMs));
      }
    },
    sweep: () => run(sweep(deps, newBudget(clock))),
    compare: async (order = {}) => {
      const whole = { dryRun: false, adopt: false, by: "test", ...order };
      const done = await run(fullRun(deps, whole, newBudget(clock)));
      if (done.kind === "busy") throw new Error("another full run is under way");
      await world.carryOn();
      return done.rows ?? [];
    },
    order: async (event, order) => {
      await deps.bus.publish([{ kind: "order", event, heardMs: clock.now(), by: "ann", order }]);
      await world.carryOn();
    },
    carryOn: async () => {
      for (let sweeps = 0; sweeps < maxSweeps; sweeps++) {
        await world.rest();
        const open = await deps.ledger.due(Number.MAX_SAFE_INTEGER, 10);
        if (open.length === 0) return;
        await world.pass(60_000);
        await world.sweep();
      }
      throw new Error(
        `the world does not come to rest: ${JSON.stringify(await deps.ledger.due(Number.MAX_SAFE_INTEGER, 10))}`,
      );
    },
    event: async (id) => (await stored(deps.ledger.get("events", id), id)).value,
    workload: async (id) => (await stored(deps.ledger.get("workloads", id), id)).value,
    history: async (id) => {
      const rollouts = await deps.ledger.rollouts({ workload: id }, 100);
      return rollouts
        .map(({ value: { state, reason } }) => (reason === undefined ? state : `${state}: ${reason}`))
        .toReversed();
    },
    deadLetters: () => subscriber.deadLetters(),
    explain: async (asked = `${registry.host}/${repository}:v1`) => {
      const answer = await explain(deps.ledger, asked, clock.now(), 5);
      if (answer.kind !== "explained") throw new Error(`nothing to explain: ${JSON.stringify(answer)}`);
      return renderExplanation(answer.explained, clock.now());
    },
    close: async () => {
      await run(wiring.close());
      await Promise.all([toRegistry.close(), ...places.map((place) => place.close())]);
      await registry.stop();
    },
  };
  return world;
}

async function stored<T>(found: Promise<T | undefined>, id: string): Promise<T> {
  const value = await found;
  if (value === undefined) throw new Error(`${id} is not on record`);
  return value;
}
