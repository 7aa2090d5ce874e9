import { randomUUID } from "node:crypto";
import type { Bus } from "../../shared/bus/bus.ts";
import type { Timer } from "../../shared/bus/inline/delivery.ts";
import type { Subscriber } from "../../shared/bus/subscriber.ts";
import type { Clock } from "../../shared/clock.ts";
import type { LoadedConfig, Settings } from "../../shared/config/load.ts";
import { matcher } from "../../shared/domain/repository-glob.ts";
import type { EmbeddedStore } from "../../shared/embedded-store.ts";
import { ConfigError } from "../../shared/errors.ts";
import type { FlowDeps, FlowTarget } from "../../shared/flows/deps.ts";
import { plainRecorder, type Recorder } from "../../shared/flows/recorder.ts";
import type { HttpClient, HttpOptions } from "../../shared/http.ts";
import type { Ledger } from "../../shared/ledger/ledger.ts";
import type { Log } from "../../shared/log.ts";
import { storePath, type WiringContext } from "./context.ts";
import { notifiersOf } from "./notifiers.ts";
import { once, perConfig } from "./once.ts";
import type { wirePull } from "./pull.ts";
import { ociHost } from "./registries.ts";
import { imageRules } from "./rules.ts";

/** What flows act with in this process, made from the configuration; each part at its first use, and once. */
export interface FlowWiring {
  readonly log: Log;
  readonly clock: Clock;
  /** Aborted when the process is about to stop. */
  readonly stopping?: AbortSignal;
  flows(): Promise<FlowDeps & { readonly bus: Bus }>;
  bus(): Promise<Bus>;
  /**
   * The bus's receiving side, where it is in this process.
   * @throws ConfigError where it is not: Pub/Sub itself calls the builds function
   */
  subscriber(): Promise<Subscriber>;
  close(): Promise<void>;
}

export interface FlowOptions extends Omit<WiringContext, "settings"> {
  /** Without a bus: inline. */
  readonly settings: Pick<Settings, "ledger"> & Partial<Pick<Settings, "bus" | "pubsub">>;
  /** Makes the bus of a process that pulls; absent in a function that is called. */
  readonly pull?: ReturnType<typeof wirePull>;
  readonly recorder?: Recorder;
  /** Makes the clients that registries and targets are called with; default `httpClient`. */
  readonly connect?: (options: HttpOptions) => HttpClient;
  /** Stands before the ledger and implements it again, e.g. to count calls. */
  readonly ledger?: (inner: Ledger) => Ledger;
  /** What the bus waits with; default the machine's timers. */
  readonly timer?: Timer;
}

export function wireFlows(options: FlowOptions): FlowWiring {
  const { config, log, clock, stopping } = options;
  const clients: { close(): Promise<void> }[] = [];
  const store = once(async () => {
    const { openEmbedded } = await import("../../shared/embedded-store.ts");
    return openEmbedded(storePath(options.settings.ledger));
  });
  const ledger = once(async (): Promise<Ledger> => {
    const inner = await openLedger(options.settings.ledger, clock, store);
    return options.ledger?.(inner) ?? inner;
  });
  const bus = once(async (): Promise<{ readonly bus: Bus; readonly subscriber?: Subscriber }> => {
    const { bus: where = { kind: "inline" }, pubsub: google = nowhere } = options.settings;
    switch (where.kind) {
      case "inline": {
        const { inlineBus } = await import("../../shared/bus/inline.ts");
        const timer = options.timer === undefined ? {} : { timer: options.timer };
        const inline = inlineBus({ store: await store(), clock, log, ...timer });
        return { bus: inline, subscriber: inline };
      }
      case "pubsub": {
        const { pubsubBus } = await import("../../shared/bus/pubsub.ts");
        return { bus: pubsubBus({ ...where, ...google, clock, random: Math.random }) };
      }
      case "pubsub-pull": {
        if (options.pull === undefined) {
          throw new ConfigError(["LANDFALL_BUS: this function is called by Pub/Sub; write `pubsub:TOPIC`"]);
        }
        const pulling = await options.pull({ ...where, ...google });
        return { bus: pulling, subscriber: pulling };
      }
      default:
        return where satisfies never;
    }
  });
  const flows: () => Promise<FlowDeps & { readonly bus: Bus }> = perConfig(config, async (loaded) => {
    const { ociRegistry } = await import("../../shared/registry/oci/oci-registry.ts");
    const connect = options.connect === undefined ? {} : { connect: options.connect };
    const registry = ociRegistry({
      registries: loaded.config.registries.map((each) => ociHost(each, loaded)),
      clock,
      ...connect,
    });
    const targets = await Promise.all(loaded.config.targets.map((each) => target(each, loaded, connect)));
    const { createHistory } = await import("../../shared/history/index.ts");
    const history = createHistory(loaded.config.git, { ...loaded, clock, random: Math.random, ...connect });
    clients.push(registry, history, ...targets.map((each) => each.target));
    const { defaults, follow } = loaded.config;
    const deps: FlowDeps & { bus: Bus } = {
      ledger: await ledger(),
      bus: (await bus()).bus,
      registry,
      targets,
      follows: matcher(follow),
      history,
      rule: imageRules(loaded.config),
      verify: { timeoutMs: defaults.verify.timeout, stableForMs: defaults.verify.stableFor },
      frozenUntil: await frozenUntil(loaded.config.freezes),
      rollback: defaults.rollback,
      maxDriftShare: defaults.maxDriftShare,
      maxParallel: defaults.maxParallel,
      configHash: loaded.hash,
      notifiers: notifiersOf(loaded, { clock, ...connect }, clients),
      ...(config.refused === undefined ? {} : { refusedConfig: config.refused }),
      fresh: async () => {
        await config.look?.();
        return flows();
      },
      clock,
      log,
      newId: randomUUID,
      random: Math.random,
      recorder: options.recorder ?? plainRecorder,
    };
    return deps;
  });

  return {
    log,
    clock,
    ...(stopping === undefined ? {} : { stopping }),
    flows,
    bus: async () => (await bus()).bus,
    subscriber: async () => {
      const { subscriber } = await bus();
      if (subscriber === undefined) {
        throw new ConfigError([
          "LANDFALL_BUS: `pubsub:` only publishes; pull with `pubsub-pull:SUBSCRIPTION`",
        ]);
      }
      return subscriber;
    },
    close: async () => {
      await Promise.all(clients.map((client) => client.close()));
      if (bus.called) await (await bus()).bus.close();
      if (ledger.called) await (await ledger()).close();
      if (store.called) (await store()).close();
    },
  };
}

const nowhere = { project: undefined, emulatorHost: undefined, metadataHost: undefined };

async function openLedger(
  where: Settings["ledger"],
  clock: Clock,
  store: () => Promise<EmbeddedStore>,
): Promise<Ledger> {
  if (where.kind === "firestore") {
    const { firestoreLedger } = await import("../../shared/ledger/firestore.ts");
    return firestoreLedger({ ...where, clock });
  }
  const { embeddedLedger } = await import("../../shared/ledger/embedded.ts");
  return embeddedLedger(await store(), clock);
}

type TargetEntry = LoadedConfig["config"]["targets"][number];

async function target(
  entry: TargetEntry,
  loaded: LoadedConfig,
  connect: Pick<FlowOptions, "connect">,
): Promise<FlowTarget> {
  const { createTarget } = await import("../../shared/targets/index.ts");
  const context = {
    secret: loaded.secret,
    pullCredentials: (host: string) => pullCredentials(host, loaded),
    ...connect,
  };
  return { target: await createTarget(entry, context), mode: entry.mode ?? loaded.config.defaults.mode };
}

/** What nodes pull with: the registry's own pair, another one, or (keep) nothing that we would send. */
function pullCredentials(host: string, { config, secret }: LoadedConfig) {
  const entry = config.registries.find((each) => each.host === host);
  if (entry === undefined || entry.nodes === "keep") return undefined;
  const { username, password } = entry.nodes === "same" ? entry : entry.nodes;
  if (username === undefined || password === undefined) return undefined;
  return { username: secret(username)(), password: secret(password)() };
}

/** The reader of cron expressions is loaded only where there is one to read. */
async function frozenUntil(freezes: LoadedConfig["config"]["freezes"]): Promise<FlowDeps["frozenUntil"]> {
  if (freezes.length === 0) return () => undefined;
  const { freezeEnds } = await import("../../shared/freeze.ts");
  return freezeEnds(
    freezes.map(({ targets, cron, duration, timezone }) => ({
      ...(targets === undefined ? {} : { targets }),
      cron,
      durationMs: duration,
      timezone,
    })),
  );
}
