import { randomUUID } from "node:crypto";
import type { Bus } from "../shared/bus/bus.ts";
import type { Timer } from "../shared/bus/inline/delivery.ts";
import type { Subscriber } from "../shared/bus/subscriber.ts";
import { type Clock, systemClock } from "../shared/clock.ts";
import { environment, type LoadedConfig, type Settings } from "../shared/config/load.ts";
import type { CallerProof } from "../shared/config/schema.ts";
import { watchedConfig } from "../shared/config/watch.ts";
import { matcher } from "../shared/domain/repository-glob.ts";
import { ConfigError } from "../shared/errors.ts";
import type { FlowDeps, FlowTarget } from "../shared/flows/deps.ts";
import type { ReceiveDeps } from "../shared/flows/receive.ts";
import { plainRecorder, type Recorder } from "../shared/flows/recorder.ts";
import type { HttpClient, HttpOptions } from "../shared/http.ts";
import type { Ledger } from "../shared/ledger/ledger.ts";
import { jsonLog, type Log } from "../shared/log.ts";
import { sources } from "../shared/sources/index.ts";
import type { CallerDeps } from "./caller.ts";

/** What this instance acts with, made from the configuration; each part at its first use, and once. */
export interface Wiring {
  readonly log: Log;
  readonly clock: Clock;
  /** Aborted when the process is about to stop. */
  readonly stopping?: AbortSignal;
  receive(): Promise<ReceiveDeps>;
  flows(): Promise<FlowDeps & { readonly bus: Bus }>;
  callers(): Promise<{ readonly auth: readonly CallerProof[]; readonly deps: CallerDeps }>;
  /**
   * The bus's receiving side, where it is in this process.
   * @throws ConfigError where it is not: Pub/Sub itself calls the builds function
   */
  subscriber(): Promise<Subscriber>;
  close(): Promise<void>;
}

export interface WiringOptions {
  /** Without a bus: inline. */
  readonly settings: Pick<Settings, "ledger"> & Partial<Pick<Settings, "bus" | "pubsub">>;
  /** Asked for at each use: another object means that the configuration has changed. */
  readonly config: () => Promise<LoadedConfig>;
  readonly log: Log;
  readonly clock: Clock;
  readonly stopping?: AbortSignal;
  readonly recorder?: Recorder;
  /** Makes the clients that registries and targets are called with; default `httpClient`. */
  readonly connect?: (options: HttpOptions) => HttpClient;
  /** Stands before the ledger and implements it again, e.g. to count calls. */
  readonly ledger?: (inner: Ledger) => Ledger;
  /** What the bus waits with; default the machine's timers. */
  readonly timer?: Timer;
  /** Callers of the reconcile function besides the configured ones: a runner's own timer. */
  readonly alsoCallers?: readonly CallerProof[];
}

/** Made by the functions' entry from the environment. */
export function wiringFromEnvironment(stopping: AbortSignal): () => Wiring {
  return once(() => {
    const settings = environment();
    const { config } = settings;
    if (config === undefined) {
      throw new ConfigError([
        "LANDFALL_CONFIG: is not set; name the configuration file, e.g. /etc/landfall.yaml",
      ]);
    }
    const log = jsonLog();
    return wire({
      settings,
      config: watchedConfig({ path: config, clock: systemClock, log }),
      log,
      clock: systemClock,
      stopping,
    });
  });
}

export function wire(options: WiringOptions): Wiring {
  const { log, clock, stopping } = options;
  const { config } = options;
  const clients: { close(): Promise<void> }[] = [];
  const store = once(async () => {
    const { ledger: where } = options.settings;
    const { openEmbedded } = await import("../shared/embedded-store.ts");
    return openEmbedded(
      where.kind === "memory" ? ":memory:" : where.kind === "file" ? where.path : inlineFile,
    );
  });
  const innerLedger = once(async (): Promise<Ledger> => {
    const { ledger: where } = options.settings;
    if (where.kind === "firestore") {
      const { firestoreLedger } = await import("../shared/ledger/firestore.ts");
      return firestoreLedger({ ...where, clock });
    }
    const { embeddedLedger } = await import("../shared/ledger/embedded.ts");
    return embeddedLedger(await store(), clock);
  });
  const ledger = once(async (): Promise<Ledger> => {
    const inner = await innerLedger();
    return options.ledger?.(inner) ?? inner;
  });
  const bus = once(async (): Promise<{ readonly bus: Bus; readonly subscriber?: Subscriber }> => {
    const { bus: where = { kind: "inline" }, pubsub: google = nowhere } = options.settings;
    switch (where.kind) {
      case "inline": {
        const { inlineBus } = await import("../shared/bus/inline.ts");
        const timer = options.timer === undefined ? {} : { timer: options.timer };
        const inline = inlineBus({ store: await store(), clock, log, ...timer });
        return { bus: inline, subscriber: inline };
      }
      case "pubsub": {
        const { pubsubBus } = await import("../shared/bus/pubsub.ts");
        return { bus: pubsubBus({ ...where, ...google, clock, random: Math.random }) };
      }
      case "pubsub-pull": {
        const { pullBus } = await import("../shared/bus/pubsub/pull.ts");
        const pulling = pullBus({ ...where, ...google, clock, log, random: Math.random });
        return { bus: pulling, subscriber: pulling };
      }
      default:
        return where satisfies never;
    }
  });
  const flows = perConfig(config, async (loaded) => {
    const { ociRegistry } = await import("../shared/registry/oci/oci-registry.ts");
    const connect = options.connect === undefined ? {} : { connect: options.connect };
    const registry = ociRegistry({
      registries: loaded.config.registries.map((each) => ociHost(each, loaded)),
      clock,
      ...connect,
    });
    const targets = await Promise.all(loaded.config.targets.map((each) => target(each, loaded, connect)));
    clients.push(registry, ...targets.map((each) => each.target));
    const { defaults, follow } = loaded.config;
    const deps: FlowDeps & { bus: Bus } = {
      ledger: await ledger(),
      bus: (await bus()).bus,
      registry,
      targets,
      follows: matcher(follow),
      policy: defaults.policy,
      verify: { timeoutMs: defaults.verify.timeout, stableForMs: defaults.verify.stableFor },
      maxParallel: defaults.maxParallel,
      configHash: loaded.hash,
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
    receive: perConfig(config, async (loaded) => {
      return {
        webhooks: loaded.config.webhooks.map((entry) => ({
          source: sources[entry.source],
          secrets: entry.secrets.map(loaded.secret),
          ...(entry.repositories === undefined ? {} : { repositories: matcher(entry.repositories) }),
          ...(entry.hostAliases === undefined ? {} : { hostAliases: entry.hostAliases }),
        })),
        bus: (await bus()).bus,
        newId: randomUUID,
        clock,
        log,
      };
    }),
    flows,
    callers: perConfig(config, async (loaded) => {
      const [{ googleCerts }, { httpClient }] = await Promise.all([
        import("./caller.ts"),
        import("../shared/http.ts"),
      ]);
      return {
        auth: [...loaded.config.reconcile.auth, ...(options.alsoCallers ?? [])],
        deps: { now: () => clock.now(), certs: googleCerts(httpClient(), clock), secret: loaded.secret },
      };
    }),
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

/** Where the inline bus keeps its messages when the ledger is not in a file. */
const inlineFile = ".landfall/bus.db";
const nowhere = { project: undefined, emulatorHost: undefined, metadataHost: undefined };

type RegistryEntry = LoadedConfig["config"]["registries"][number];
type TargetEntry = LoadedConfig["config"]["targets"][number];

function ociHost({ host, url, plainHttp, ca, username, password }: RegistryEntry, { secret }: LoadedConfig) {
  return {
    host,
    ...(url === undefined ? {} : { url }),
    ...(plainHttp === undefined ? {} : { plainHttp }),
    ...(ca === undefined ? {} : { ca: secret(ca) }),
    ...(username === undefined ? {} : { username: secret(username) }),
    ...(password === undefined ? {} : { password: secret(password) }),
  };
}

async function target(
  entry: TargetEntry,
  loaded: LoadedConfig,
  connect: Pick<WiringOptions, "connect">,
): Promise<FlowTarget> {
  const { createTarget } = await import("../shared/targets/index.ts");
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

/** What is made from a configuration, made anew when that has changed; what still uses the old one goes on with it. */
function perConfig<T>(
  config: () => Promise<LoadedConfig>,
  make: (loaded: LoadedConfig) => Promise<T>,
): () => Promise<T> {
  const made = new WeakMap<LoadedConfig, () => Promise<T>>();
  const ofLoaded = (loaded: LoadedConfig) => {
    const known = made.get(loaded) ?? once(() => make(loaded));
    made.set(loaded, known);
    return known();
  };
  let last: { readonly loading: Promise<LoadedConfig>; readonly making: Promise<T> } | undefined;
  return () => {
    const loading = config();
    if (last?.loading === loading) return last.making;
    const next = { loading, making: loading.then(ofLoaded) };
    last = next;
    next.making.catch(() => {
      if (last === next) last = undefined;
    });
    return next.making;
  };
}

interface Once<T> {
  (): T;
  readonly called: boolean;
}

/** The first call's result for every later call; a promise that fails is tried again at the next. */
function once<T>(make: () => T): Once<T> {
  let kept: { readonly value: T } | undefined;
  const call = () => {
    if (kept === undefined) {
      const made = { value: make() };
      kept = made;
      if (made.value instanceof Promise) {
        made.value.catch(() => {
          if (kept === made) kept = undefined;
        });
      }
    }
    return kept.value;
  };
  return Object.defineProperty(call, "called", { get: () => kept !== undefined }) as Once<T>;
}
