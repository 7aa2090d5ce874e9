import { afterAll, beforeAll } from "vitest";
import { parseReference } from "../../shared/domain/reference.ts";
import { cluster } from "./cluster.ts";
import { driftSentences } from "./drift-sentences.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const k8s = cluster("e2e-drift");
const [shop] = k8s.namespaces;

beforeAll(() => k8s.open());
afterAll(() => k8s.close());

driftSentences("a real Kubernetes cluster", {
  prefix: `${shop}-`,
  env: { KUBE_TOKEN: bed.kubeToken },
  target: async () => ({
    kind: "kubernetes",
    server: bed.kubeServer,
    ca: `\${file:${bed.kubeCaFile}}`,
    token: "${KUBE_TOKEN}",
    namespaces: [shop],
  }),
  async create(workloads) {
    const pod = { terminationGracePeriodSeconds: 0 };
    for (const { name, image } of workloads) {
      const read = parseReference(image);
      if (read.kind === "invalid") throw new Error(`${image}: ${read.reason}`);
      await k8s.create(shop, { kind: "Deployment", name, image: read.reference, pod });
    }
    await Promise.all(workloads.map(({ name }) => k8s.rolledOut(shop, `deployment/${name}`)));
  },
  addressOf: (name) => `${shop}/deployment/${name}`,
  async stand(name) {
    const { metadata, spec } = await k8s.read(shop, "deployment", name);
    const listed = ["get", "replicasets", "--selector", `app=${name}`, "--output=name"];
    const replicaSets = await bed.kubectl("--namespace", shop, ...listed);
    return {
      image: spec.template.spec.containers[0]?.image ?? "",
      mark: `${metadata.generation} ${replicaSets}`,
    };
  },
  async putBack(name, image) {
    await bed.kubectl("--namespace", shop, "set", "image", `deployment/${name}`, `app=${image}`);
    await k8s.rolledOut(shop, `deployment/${name}`);
  },
});
