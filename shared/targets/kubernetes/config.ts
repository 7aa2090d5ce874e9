import * as z from "zod/mini";

/** The four ways to a cluster, by the key that chooses one, with the keys that belong to it alone. */
const ways = {
  gke: ["endpoint", "membership"],
  server: ["ca", "token"],
  kubeconfig: ["context"],
  inCluster: [],
} as const;
const wayNames = Object.keys(ways) as readonly (keyof typeof ways)[];

const namespaceName = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;

/** One Kubernetes cluster, as `targets[]` of the configuration names it. `ca` and `token` are templates such as `${file:…}`. */
export const KubernetesConfig = z
  .strictObject({
    name: z.string().check(z.describe("What workloads' addresses begin with, e.g. `gke-prod`.")),
    kind: z.literal("kubernetes").check(z.describe("A Kubernetes cluster, by its API server.")),
    gke: z.optional(
      z
        .string()
        .check(
          z.regex(
            /^projects\/[^/\s]+\/locations\/[a-z0-9-]+\/clusters\/[a-z0-9-]+$/,
            "expected projects/PROJECT/locations/LOCATION/clusters/CLUSTER",
          ),
          z.describe(
            "A GKE cluster, reached as Google's service account: `projects/acme/locations/europe-west1/clusters/prod`.",
          ),
        ),
    ),
    endpoint: z.optional(
      z
        .enum(["dns", "public", "private", "connect-gateway"])
        .check(
          z.describe(
            "With `gke`, which of the cluster's addresses: `dns` (a name with a public certificate), `public` or `private` (IP addresses), or `connect-gateway`.",
          ),
        ),
    ),
    membership: z.optional(
      z
        .string()
        .check(
          z.regex(
            /^projects\/\d+\/locations\/[a-z0-9-]+\/memberships\/[a-z0-9-]+$/,
            "expected projects/NUMBER/locations/LOCATION/memberships/NAME, with the project's number, not its id",
          ),
          z.describe(
            "With `endpoint: connect-gateway`, the cluster's membership in its fleet; else the one that the cluster itself names.",
          ),
        ),
    ),
    server: z.optional(
      z
        .string()
        .check(
          z.refine(isServer, "expected https://host:port, perhaps with a path"),
          z.describe("The API server's address, e.g. `https://k8s.acme.io:6443`; a path in it is kept."),
        ),
    ),
    ca: z.optional(
      z
        .string()
        .check(
          z.minLength(1, "expected a PEM certificate"),
          z.describe(
            "With `server`, PEM of the authority that signed its certificate, e.g. `${file:/secrets/ca.crt}`; else the public ones are trusted.",
          ),
        ),
    ),
    token: z.optional(
      z
        .string()
        .check(
          z.minLength(1, "expected a token"),
          z.describe("With `server`, a ServiceAccount's token, e.g. `${file:/secrets/token}`."),
        ),
    ),
    kubeconfig: z.optional(
      z
        .string()
        .check(
          z.regex(/^[^{}]+$/, "expected a file's path, not its text and not a template"),
          z.describe(
            "Path of a kubeconfig file, e.g. `/secrets/kubeconfig/value`. It must not run programs.",
          ),
        ),
    ),
    context: z.optional(
      z
        .string()
        .check(
          z.minLength(1, "expected a context's name"),
          z.describe("With `kubeconfig`, which of its contexts; else its `current-context`."),
        ),
    ),
    inCluster: z.optional(
      z
        .literal(true)
        .check(z.describe("`true`: the cluster that Landfall itself runs in, as the pod's ServiceAccount.")),
    ),
    namespaces: z
      .array(
        z
          .string()
          .check(
            z.refine(
              (name) => name === "*" || namespaceName.test(name),
              "expected a namespace's name, or `*`",
            ),
          ),
      )
      .check(
        z.minLength(1, "is empty; name at least one, or `*`"),
        z.refine((names) => names.length < 2 || !names.includes("*"), "`*` stands alone"),
        z.describe(
          'The namespaces whose workloads may be deployed, e.g. `[web, shop]`. `["*"]` is every namespace but `kube-*` and those of GitOps controllers.',
        ),
      ),
    mode: z.optional(
      z
        .enum(["act", "observe"])
        .check(
          z.describe("`act` deploys, `observe` records what it would have deployed; else `defaults.mode`."),
        ),
    ),
  })
  .check(({ value: config, issues }) => {
    const problem = (path: string[], message: string) =>
      issues.push({ code: "custom", input: config, path, message });
    const given = wayNames.filter((way) => config[way] !== undefined);
    const [first, ...more] = given;
    if (first === undefined) {
      problem([], "names no cluster; give `gke`, `server`, `kubeconfig` or `inCluster: true`");
    }
    for (const way of more) problem([way], `is a second way to the cluster beside \`${first}\`; keep one`);
    for (const way of wayNames.filter((each) => !given.includes(each))) {
      for (const key of ways[way]) {
        if (config[key] !== undefined) problem([key], `belongs to \`${way}\`, which is not given`);
      }
    }
    if (config.gke !== undefined && config.endpoint === undefined) {
      problem(["gke"], "needs `endpoint`: `dns`, `public`, `private` or `connect-gateway`");
    }
    if (
      config.gke !== undefined &&
      config.membership !== undefined &&
      config.endpoint !== "connect-gateway"
    ) {
      problem(["membership"], "belongs to `endpoint: connect-gateway`");
    }
    if (config.server !== undefined && config.token === undefined) {
      problem(["server"], "needs `token`, e.g. `${file:/secrets/token}`");
    }
  });
export type KubernetesConfig = z.infer<typeof KubernetesConfig>;

function isServer(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || url.protocol !== "https:") return false;
  return url.search === "" && url.hash === "" && url.username === "" && url.password === "";
}
