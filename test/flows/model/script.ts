import fc from "fast-check";

/** A service that follows a tag, one on a channel, one that follows commits; and one of a target that is only observed. */
export const services = ["web", "app", "tool"] as const;
export type Service = (typeof services)[number];
/** Capitals exit at once. */
export const letters = ["b", "c", "X"] as const;
export const commits = ["m1", "m2", "m3", "m4"] as const;

/** What happens, each while all the others may still be under way. */
export type Act =
  /** Somebody pushes the tag; its webhook is delivered so many times, or got lost. */
  | { readonly kind: "push"; readonly letter: string; readonly reports: number }
  /** CI builds a commit, well or `badly`; its message is delivered so many times, or got lost. */
  | { readonly kind: "build"; readonly commit: string; readonly badly: boolean; readonly reports: number }
  | {
      readonly kind: "deploy";
      readonly service: Service;
      readonly image: string;
      readonly until: "next" | "release";
    }
  | { readonly kind: "rollback"; readonly service: Service; readonly until: "next" | "release" }
  | { readonly kind: "hold"; readonly service: Service; readonly image: string; readonly everywhere: boolean }
  | { readonly kind: "release"; readonly service: Service; readonly image?: string }
  | { readonly kind: "pause"; readonly service: Service; readonly minutes?: number }
  | { readonly kind: "resume"; readonly service: Service }
  /** The n-th event that was heard is taken again. */
  | { readonly kind: "replay"; readonly of: number }
  /** Somebody changes a service at its target: to another image, or back to what it was before. */
  | { readonly kind: "hand"; readonly service: Service; readonly image?: string }
  | { readonly kind: "label"; readonly service: Service; readonly paused: boolean }
  | { readonly kind: "full"; readonly dryRun: boolean; readonly adopt: boolean }
  | { readonly kind: "sweep" }
  | { readonly kind: "bus" }
  | { readonly kind: "time"; readonly ms: number }
  | { readonly kind: "freeze"; readonly minutes: number }
  /** Nothing that is started there comes up, for a reason outside of its image; or it does again. */
  | { readonly kind: "nodes"; readonly broken: boolean }
  | { readonly kind: "target"; readonly away: boolean }
  | { readonly kind: "registry"; readonly fails: number }
  | { readonly kind: "git"; readonly down: boolean };

export interface Script {
  readonly acts: readonly {
    readonly act: Act;
    /** Everything that was begun comes to its end first. */
    readonly alone: boolean;
  }[];
  /** Writes to the ledger whose answer is lost. */
  readonly lost: readonly number[];
  /** Handlers that are killed at some step of theirs. */
  readonly deaths: readonly {
    readonly handler: number;
    readonly step: number;
    readonly side: "before" | "after";
  }[];
}

/** Which images a script is about: fewer actors, more that happens to each. */
type Cast = "tag" | "commits" | "both";

const reports = fc.constantFrom(0, 1, 1, 1, 2);
const until = fc.constantFrom("next" as const, "next" as const, "release" as const);

function actsOf(cast: Cast): fc.Arbitrary<Act> {
  const service = fc.constantFrom<Service>(
    ...(cast === "tag" ? ["web" as const] : cast === "commits" ? (["app", "tool"] as const) : services),
  );
  const images = [
    ...(cast === "commits" ? [] : letters),
    ...(cast === "tag" ? [] : ["m1", "m2", "m3", "X of m3"]),
  ];
  const image = fc.constantFrom(...images);
  const kind = <K extends Act["kind"]>(name: K) => fc.constant(name);
  const push = {
    weight: cast === "commits" ? 0 : 8,
    arbitrary: fc.record({ kind: kind("push"), letter: fc.constantFrom(...letters), reports }),
  };
  const build = {
    weight: cast === "tag" ? 0 : 8,
    arbitrary: fc.record({
      kind: kind("build"),
      commit: fc.constantFrom(...commits.slice(1)),
      badly: fc.constantFrom(false, false, true),
      reports,
    }),
  };
  return fc.oneof(
    push,
    build,
    { weight: 2, arbitrary: fc.record({ kind: kind("deploy"), service, image, until }) },
    { weight: 3, arbitrary: fc.record({ kind: kind("rollback"), service, until }) },
    { weight: 2, arbitrary: fc.record({ kind: kind("hold"), service, image, everywhere: fc.boolean() }) },
    {
      weight: 2,
      arbitrary: fc.record({ kind: kind("release"), service, image }, { requiredKeys: ["kind", "service"] }),
    },
    {
      weight: 2,
      arbitrary: fc.record(
        { kind: kind("pause"), service, minutes: fc.constantFrom(1, 5) },
        { requiredKeys: ["kind", "service"] },
      ),
    },
    { weight: 1, arbitrary: fc.record({ kind: kind("resume"), service }) },
    { weight: 1, arbitrary: fc.record({ kind: kind("replay"), of: fc.nat(4) }) },
    {
      weight: 3,
      arbitrary: fc.record({ kind: kind("hand"), service, image }, { requiredKeys: ["kind", "service"] }),
    },
    { weight: 1, arbitrary: fc.record({ kind: kind("label"), service, paused: fc.boolean() }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: kind("full"),
        dryRun: fc.constantFrom(false, false, true),
        adopt: fc.boolean(),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: kind("sweep") }) },
    { weight: 2, arbitrary: fc.record({ kind: kind("bus") }) },
    {
      weight: 3,
      arbitrary: fc.record({ kind: kind("time"), ms: fc.constantFrom(20_000, 70_000, 400_000) }),
    },
    { weight: 2, arbitrary: fc.record({ kind: kind("freeze"), minutes: fc.constantFrom(1, 5) }) },
    { weight: 1, arbitrary: fc.record({ kind: kind("nodes"), broken: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ kind: kind("target"), away: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ kind: kind("registry"), fails: fc.integer({ min: 1, max: 3 }) }) },
    { weight: cast === "tag" ? 0 : 1, arbitrary: fc.record({ kind: kind("git"), down: fc.boolean() }) },
  );
}

export function scripts(cast: Cast): fc.Arbitrary<Script> {
  return fc.record({
    acts: fc.array(fc.record({ act: actsOf(cast), alone: fc.boolean() }), { minLength: 1, maxLength: 9 }),
    lost: fc.array(fc.nat(40), { maxLength: 2 }),
    deaths: fc.array(
      fc.record({
        handler: fc.nat(6),
        step: fc.nat(20),
        side: fc.constantFrom("before" as const, "after" as const),
      }),
      { maxLength: 2 },
    ),
  });
}
