import { parseReference } from "../../domain/reference.ts";
import { type Container, type Workload, workloadId } from "../../domain/workload.ts";
import { ownAnnotations, seqAnnotation } from "./annotations.ts";
import { type Kind, kindNames, printPlace } from "./kinds.ts";
import type { TemplateWire, WorkloadWire } from "./schema.ts";

/** What a write needs of a workload that was read. */
export interface RawWorkload {
  /** The API that it was read by, e.g. `batch/v1beta1`. */
  readonly groupVersion: string;
  readonly initContainers: readonly string[];
}

const settingPrefix = "landfall.";

/** A workload of that kind; `undefined` for one without a pod template. */
export function toWorkload(
  target: string,
  kind: Kind,
  groupVersion: string,
  wire: WorkloadWire,
): Workload | undefined {
  const template = templateOf(wire);
  if (template === undefined) return undefined;
  const { metadata, spec } = wire;
  const name = printPlace({ namespace: metadata.namespace, kind, name: metadata.name });
  const init = template.spec.initContainers ?? [];
  const own = Object.entries(metadata.annotations ?? {});
  const settings = own.filter(([key]) => key.startsWith(settingPrefix) && !ownAnnotations.includes(key));
  const managedBy = managerOf(metadata);
  const notRolling = standingReason(kind, spec);
  const raw: RawWorkload = { groupVersion, initContainers: init.map((container) => container.name) };
  return {
    id: workloadId(target, name),
    target,
    name,
    version: metadata.resourceVersion,
    containers: [...template.spec.containers, ...init].map((each) =>
      toContainer(each.name, each.image ?? ""),
    ),
    settings: Object.fromEntries(settings.map(([key, value]) => [key.slice(settingPrefix.length), value])),
    misplacedSettings: misplaced(wire, template),
    ...(managedBy === undefined ? {} : { managedBy }),
    ...(notRolling === undefined ? {} : { notRolling }),
    fence: fenceOf(metadata.annotations?.[seqAnnotation]),
    raw,
  };
}

export function templateOf({ spec }: WorkloadWire): TemplateWire | undefined {
  return spec.jobTemplate?.spec.template ?? spec.template ?? undefined;
}

/** Why a change of the template would replace no pod, or not all of them. */
function standingReason(kind: Kind, spec: WorkloadWire["spec"]): string | undefined {
  if (spec.paused === true) return `the ${kindNames[kind]} is paused`;
  if (spec.updateStrategy?.type === "OnDelete") {
    return "its update strategy is OnDelete: pods change when somebody deletes them";
  }
  const partition = partitionOf(spec);
  return partition > 0 ? `partition ${partition} keeps the pods of lower ordinals as they are` : undefined;
}

export function partitionOf(spec: WorkloadWire["spec"]): number {
  return spec.updateStrategy?.rollingUpdate?.partition ?? 0;
}

function toContainer(name: string, image: string): Container {
  const parsed = parseReference(image);
  return { name, image, ...(parsed.kind === "reference" ? { reference: parsed.reference } : {}) };
}

/**
 * Who would put another image back by itself. Helm alone does not: `app.kubernetes.io/managed-by: Helm` says how it
 * came there, and nobody acts until a person does.
 */
function managerOf({ annotations, labels, ownerReferences }: WorkloadWire["metadata"]): string | undefined {
  const tracking = annotations?.["argocd.argoproj.io/tracking-id"]?.split(":")[0];
  const argo = tracking ?? labels?.["argocd.argoproj.io/instance"];
  if (argo !== undefined) return `Argo CD application ${argo}`;
  const kustomization = labels?.["kustomize.toolkit.fluxcd.io/name"];
  if (kustomization !== undefined) return `Flux Kustomization ${kustomization}`;
  const release = labels?.["helm.toolkit.fluxcd.io/name"];
  if (release !== undefined) return `Flux HelmRelease ${release}`;
  const owner = ownerReferences?.find((each) => each.controller === true) ?? ownerReferences?.[0];
  return owner === undefined ? undefined : `${owner.kind} ${owner.name}`;
}

/** Labels cannot hold every setting, and what stands on pods would replace them. */
function misplaced({ metadata, spec }: WorkloadWire, template: TemplateWire): readonly string[] {
  const job = spec.jobTemplate?.metadata;
  const places = [
    metadata.labels,
    job?.labels,
    job?.annotations,
    template.metadata?.labels,
    template.metadata?.annotations,
  ];
  const keys = places.flatMap((place) => Object.keys(place ?? {}));
  return [...new Set(keys.filter((key) => key.startsWith(settingPrefix)))];
}

function fenceOf(text: string | undefined): number {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : 0;
}
