import { familiarName, type Reference } from "../../domain/reference.ts";
import type { Platform } from "../../domain/workload.ts";
import type { Change } from "../target.ts";

type Json = Readonly<Record<string, unknown>>;

/** A service as the engine gave it; every field of its spec goes back with a write. */
export interface RawService {
  readonly ID: string;
  readonly Spec: Json & {
    readonly Labels?: Json;
    readonly TaskTemplate: Json & {
      readonly ContainerSpec: Json & { readonly Image: string };
      readonly Placement?: Json;
    };
  };
}

/** The fence: a label of the service, never of its containers, so that it alone replaces no task. */
export const seqLabel = "landfall.seq";

/**
 * The spec with another image, written as the docker command line writes it, so that a later
 * `docker stack deploy` of the same file finds nothing to change in the tasks. All else stays as it was.
 */
export function withImage(spec: RawService["Spec"], image: Reference, change: Change): RawService["Spec"] {
  const { Labels, TaskTemplate } = spec;
  const { ContainerSpec, Placement, ...template } = TaskTemplate;
  const placement = withPlatforms(Placement, change.platforms ?? []);
  return {
    ...spec,
    Labels: { ...Labels, [seqLabel]: String(change.seq) },
    TaskTemplate: {
      ...template,
      ContainerSpec: { ...ContainerSpec, Image: printImage(image) },
      ...(placement === undefined ? {} : { Placement: placement }),
    },
  };
}

/** `acme/web:v1@sha256:…`: Docker Hub's own names in their short form. */
function printImage(image: Reference): string {
  const tag = image.tag === undefined ? "" : `:${image.tag}`;
  const digest = image.digest === undefined ? "" : `@${image.digest}`;
  return `${familiarName(image.repository)}${tag}${digest}`;
}

/** The old image's list must not stay: tasks would wait for ever for a node of a platform that the image left. */
function withPlatforms(placement: Json | undefined, platforms: readonly Platform[]): Json | undefined {
  if (platforms.length > 0) return { ...placement, Platforms: platforms.map(platformWire) };
  if (placement === undefined) return undefined;
  const { Platforms: _, ...rest } = placement;
  return rest;
}

/**
 * As the docker command line converts an index's platforms: the variant is dropped, and so is the architecture
 * `arm`, because a node calls itself `armv7l` and would never match (swarmkit issue 2294).
 */
export function platformWire(platform: Platform): Json {
  const { os, architecture } = platform;
  const named = architecture !== "" && architecture.toLowerCase() !== "arm";
  return { ...(named ? { Architecture: architecture } : {}), ...(os === "" ? {} : { OS: os }) };
}
