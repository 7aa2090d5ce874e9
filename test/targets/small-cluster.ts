import { createHash } from "node:crypto";
import type { Clock } from "../../shared/clock.ts";
import { type Digest, printReference, type Reference } from "../../shared/domain/reference.ts";
import type { Access, ClusterConnection } from "../../shared/targets/kubernetes/access.ts";
import { kubernetesTarget } from "../../shared/targets/kubernetes/kubernetes.ts";
import type { Target } from "../../shared/targets/target.ts";
import type { PublishedImage, WorkloadOptions } from "../contracts/target.ts";
import { deploymentController, type ImageBehaviour } from "../doubles/deployment-controller.ts";
import { type Json, type KubernetesApi, kubernetesApi } from "../doubles/kubernetes-api.ts";

/** An API server with a controller for Deployments, and the target that calls it. */
export interface SmallCluster {
  readonly api: KubernetesApi;
  readonly target: Target;
  /** Another one of the same cluster. */
  connect(options?: ConnectOptions): Target;
  publish(tag: string, behaviour?: ImageBehaviour): PublishedImage;
  /** @param name e.g. `shop/deployment/web` */
  deploy(name: string, image: Reference, options?: WorkloadOptions & { readonly spec?: Json }): void;
  /** One second goes by. */
  step(): void;
  close(): Promise<void>;
}

export interface ConnectOptions {
  readonly server?: string;
  readonly access?: Access;
  readonly namespaces?: readonly string[];
  readonly clock?: Clock;
}

export async function smallCluster(): Promise<SmallCluster> {
  const api = await kubernetesApi();
  const behaviours = new Map<string, ImageBehaviour>();
  const controller = deploymentController(
    api,
    (image) => behaviours.get(image.slice(image.indexOf("@") + 1)) ?? "runs",
  );
  const opened: Target[] = [];
  let pushes = 0;

  function connect(options: ConnectOptions = {}): Target {
    const {
      server = api.server,
      namespaces = ["shop"],
      access = fixed({ server, headers: {} }),
      clock,
    } = options;
    const target = kubernetesTarget({ name: "k8s", namespaces, access, clock });
    opened.push(target);
    return target;
  }

  return {
    api,
    target: connect(),
    connect,
    publish(tag, behaviour = "runs") {
      const digest: Digest = `sha256:${createHash("sha256").update(String(++pushes)).digest("hex")}`;
      behaviours.set(digest, behaviour);
      return { repository: "reg.example/acme/web", tag, digest };
    },
    deploy(name, image, { tasks = 1, labels, containerLabels, spec } = {}) {
      const [namespace, , own = ""] = name.split("/");
      const app = { app: own };
      api.put(`/apis/apps/v1/namespaces/${namespace}/deployments/${own}`, {
        kind: "Deployment",
        apiVersion: "apps/v1",
        metadata: { labels: app, annotations: labels ?? {} },
        spec: {
          replicas: tasks,
          minReadySeconds: 1,
          selector: { matchLabels: app },
          template: {
            metadata: { labels: app, annotations: containerLabels ?? {} },
            spec: {
              containers: [{ name: "app", image: printReference(image), env: [{ name: "A", value: "b" }] }],
            },
          },
          ...spec,
        },
      });
    },
    step: () => controller.step(),
    async close() {
      for (const target of opened) await target.close();
      await api.close();
    },
  };
}

/** Credentials that never change. */
export function fixed(connection: ClusterConnection): Access {
  return { connect: async () => connection, renew: async () => connection, close: async () => {} };
}
