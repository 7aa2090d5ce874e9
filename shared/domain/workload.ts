import type { Reference } from "./reference.ts";

/** `target/name`, e.g. `swarm-prod/web`; on Kubernetes `target/namespace/kind/name`. */
export type WorkloadId = `${string}/${string}`;

/** A part of a workload that has an image of its own; a Swarm service has exactly one. */
export interface Container {
  readonly name: string;
  /** The image as the target spells it, e.g. `acme/web:v1@sha256:…`. */
  readonly image: string;
  /** The same, normalised; absent when it cannot be read as a reference. */
  readonly reference?: Reference;
}

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

/** How the tasks of a workload stand, as far as a list of its target says so by itself. */
export interface Standing {
  /** Tasks that are to run, and those of them that do. */
  readonly wanted: number;
  readonly running: number;
  /** Why some tasks still run what the definition named before, e.g. `its update is paused`. */
  readonly outdated?: string;
  /** The target has not looked at the definition since it was changed. */
  readonly unobserved?: true;
}

/** What a target replaces as one, as it was read. */
export interface Workload {
  readonly id: WorkloadId;
  readonly target: string;
  /** Name within the target, e.g. `web` or `shop/deployment/web`. */
  readonly name: string;
  /** The target's own version of what was read; a write that carries an older one is refused where the target can. */
  readonly version: string;
  readonly containers: readonly Container[];
  /** `landfall.*` labels of the workload itself, without the prefix, e.g. `{ policy: "none", pause: "true" }`. */
  readonly settings: Readonly<Record<string, string>>;
  /** `landfall.*` labels found where they do not act, e.g. on the container: reported, never obeyed. */
  readonly misplacedSettings: readonly string[];
  /** Who else deploys this workload by itself, e.g. `swarmpit autoredeploy`. */
  readonly managedBy?: string;
  /** Why the target would take a change and replace nothing that runs, e.g. `the Deployment is paused`. */
  readonly notRolling?: string;
  /** The highest rollout `seq` that was written to the target, 0 when none: the fence. */
  readonly fence: number;
  /** Platforms that the spec restricts placement to because of its image; absent when it does not. */
  readonly platforms?: readonly Platform[];
  /** Only of a workload that was listed, where the list says it. */
  readonly standing?: Standing;
  /**
   * From a target that goes back only to what it had before: `now` changes with whatever anybody writes, and is `next`
   * when one write of ours is all that has been written since. Neither says anything by itself.
   */
  readonly stamp?: { readonly now: string; readonly next: string };
  /**
   * The target's object as it was read, for the adapter that read it; a workload that was listed may have none, and is
   * then read again before it is written. Never recorded, never logged.
   */
  readonly raw: unknown;
}

export function workloadId(target: string, name: string): WorkloadId {
  return `${target}/${name}`;
}

/** What an address is made of: a target's name has no slash, a workload's name may have some. */
export function addressOf(id: WorkloadId): { readonly target: string; readonly name: string } {
  const slash = id.indexOf("/");
  return { target: id.slice(0, slash), name: id.slice(slash + 1) };
}
