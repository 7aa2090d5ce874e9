import { describe, expect, it } from "vitest";
import { parseConfig } from "../../shared/config/parse.ts";
import { ConfigError } from "../../shared/errors.ts";

const gke = "gke: projects/acme/locations/europe-west1/clusters/prod";
const server = 'server: "https://k8s.acme.io:6443", token: "${file:/secrets/token}"';

/** What is wrong with a target of kind `kubernetes` in `web` that says so; the place is left out. */
async function problemsOf(says: string, namespaces = "namespaces: [web]"): Promise<readonly string[]> {
  const target = [`name: k, kind: kubernetes`, says, namespaces].filter((part) => part !== "").join(", ");
  try {
    await parseConfig(`follow: ["docker.io/acme/*"]\ntargets:\n  - { ${target} }`);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map((problem) => problem.replace(/^targets\[0\]\.?/, "").replace(" (line 3)", ""));
  }
}

describe("a Kubernetes cluster in the configuration", () => {
  it.each([
    `${gke}, endpoint: dns`,
    `${gke}, endpoint: public`,
    `${gke}, endpoint: private`,
    `${gke}, endpoint: connect-gateway`,
    `${gke}, endpoint: connect-gateway, membership: projects/77/locations/global/memberships/prod`,
    "gke: projects/example.com:acme/locations/europe-west1-b/clusters/prod, endpoint: dns",
    server,
    `${server}, ca: "\${file:/secrets/ca}"`,
    'server: "https://gate.acme.io/k8s/clusters/c-1/", token: "${TOKEN}"',
    'server: "https://[fd00::1]:6443", token: "${TOKEN}"',
    "kubeconfig: /secrets/kubeconfig/value",
    "kubeconfig: ./kubeconfig, context: prod",
    "inCluster: true, mode: observe",
  ])("is reached by %s", async (says) => {
    expect(await problemsOf(says)).toEqual([]);
  });

  it.each<[name: string, says: string, ...problems: (string | RegExp)[]]>([
    ["no way at all", "", /^: names no cluster; give `gke`, `server`, `kubeconfig` or `inCluster: true`$/],
    [
      "two ways",
      `${server}, kubeconfig: /kubeconfig`,
      "kubeconfig: is a second way to the cluster beside `server`; keep one",
    ],
    [
      "all ways",
      `${gke}, endpoint: dns, ${server}, kubeconfig: /kubeconfig, inCluster: true`,
      "server: is a second way to the cluster beside `gke`; keep one",
      "kubeconfig: is a second way to the cluster beside `gke`; keep one",
      "inCluster: is a second way to the cluster beside `gke`; keep one",
    ],
    ["no endpoint", gke, "gke: needs `endpoint`: `dns`, `public`, `private` or `connect-gateway`"],
    [
      "an endpoint without a cluster",
      `${server}, endpoint: dns`,
      "endpoint: belongs to `gke`, which is not given",
    ],
    ["an endpoint misspelt", `${gke}, endpoint: pubic`, /^endpoint: is not known; did you mean `public`/],
    [
      "a membership without the gateway",
      `${gke}, endpoint: dns, membership: projects/77/locations/global/memberships/prod`,
      "membership: belongs to `endpoint: connect-gateway`",
    ],
    [
      "a membership by the project's id",
      `${gke}, endpoint: connect-gateway, membership: projects/acme/locations/global/memberships/prod`,
      /^membership: expected projects\/NUMBER\/.* not its id$/,
    ],
    ["a cluster's name alone", "gke: prod, endpoint: dns", /^gke: expected projects\/PROJECT\/locations\//],
    ["no token", 'server: "https://k8s"', "server: needs `token`, e.g. `${file:/secrets/token}`"],
    [
      "a token alone",
      'token: "${TOKEN}"',
      /names no cluster/,
      "token: belongs to `server`, which is not given",
    ],
    ["plain http", 'server: "http://k8s:8001", token: x', /^server: expected https:\/\/host:port/],
    ["no scheme", 'server: "k8s:6443", token: x', /^server: expected https:\/\/host:port/],
    ["a password in the address", 'server: "https://a:b@k8s", token: x', /^server: expected/],
    ["a query in the address", 'server: "https://k8s/?a", token: x', /^server: expected/],
    ["an empty token", 'server: "https://k8s", token: ""', "token: expected a token"],
    [
      "a context without a kubeconfig",
      `${server}, context: x`,
      "context: belongs to `kubeconfig`, which is not given",
    ],
    ["a kubeconfig's text", 'kubeconfig: "${file:/kubeconfig}"', /^kubeconfig: expected a file's path/],
    ["inCluster: false", "inCluster: false", /^inCluster: /],
    ["no verification", `${server}, insecureSkipTlsVerify: true`, /^insecureSkipTlsVerify: unknown key/],
  ])("is told apart from a mistake: %s", async (_, says, ...expected) => {
    const problems = await problemsOf(says);
    expect(problems).toHaveLength(expected.length);
    for (const [index, problem] of expected.entries()) {
      if (problem instanceof RegExp) expect(problems[index]).toMatch(problem);
      else expect(problems[index]).toBe(problem);
    }
  });

  it.each<[name: string, namespaces: string, problem: RegExp]>([
    ["none", "", /^namespaces: is missing: The namespaces whose workloads/],
    ["an empty list", "namespaces: []", /^namespaces: is empty; name at least one/],
    ["one that is no list", "namespaces: web", /^namespaces: is text; expected a list/],
    ["all and another", 'namespaces: ["*", web]', /^namespaces: `\*` stands alone$/],
    ["a pattern", 'namespaces: ["web-*"]', /^namespaces\[0\]: expected a namespace's name, or `\*`$/],
    ["upper case", "namespaces: [Web]", /^namespaces\[0\]: expected a namespace's name/],
  ])("needs namespaces: %s", async (_, namespaces, problem) => {
    expect(await problemsOf(server, namespaces)).toEqual([expect.stringMatching(problem)]);
  });

  it("says nothing of its values in a problem", async () => {
    const problems = await problemsOf('server: "https://user:s3cret@k8s", token: "", ca: ""');
    expect(problems).toHaveLength(3);
    expect(problems.join()).not.toMatch(/s3cret/);
  });
});
