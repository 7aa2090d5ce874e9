import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { secretOf } from "../../shared/config/template.ts";
import { kubernetesClient } from "../../shared/targets/kubernetes/client.ts";
import { accessTo } from "../../shared/targets/kubernetes/connect.ts";
import { rightsAdvice } from "../../shared/targets/kubernetes/rights.ts";
import { startGoogle } from "../doubles/google.ts";
import { manualClock } from "../doubles/manual-clock.ts";

const pem = (kind: string, text = "AAAA") => `-----BEGIN ${kind}-----\n${text}\n-----END ${kind}-----\n`;
const base64 = (text: string) => Buffer.from(text).toString("base64");
const ca = pem("CERTIFICATE", "Q0E=");
const cert = pem("CERTIFICATE", "Y2VydA==");
const key = pem("EC PRIVATE KEY", "a2V5");

type Entry = Omit<Parameters<typeof accessTo>[0], "name" | "kind" | "namespaces">;

/** Access with files and variables of a test's own; `reads` tells what was read, in order. */
function world(
  entry: Entry,
  files: Record<string, string> = {},
  variables: Readonly<Record<string, string>> = {},
) {
  const reads: string[] = [];
  const clock = manualClock();
  const file = (path: string) => {
    reads.push(path);
    const text = files[path];
    if (text === undefined) throw Object.assign(new Error("no such file"), { code: "ENOENT" });
    return text;
  };
  const access = accessTo(
    { name: "edge", kind: "kubernetes", namespaces: ["web"], ...entry },
    { secret: (template) => secretOf(template, "token", { file, variable: (name) => variables[name] }) },
    {
      clock,
      readFile: async (path) => file(path),
      googleTokens: () => Promise.reject(new Error("not Google")),
    },
  );
  return { access, clock, files, reads };
}

const server = { server: "https://k8s.acme.io:6443", token: "${file:/token}" };

describe("a server with a token", () => {
  it("is reached with the token and the authority that the files hold", async () => {
    const { access } = world({ ...server, ca: "${file:/ca}" }, { "/token": "abc\n", "/ca": ca });
    expect(await access.connect()).toEqual({
      server: "https://k8s.acme.io:6443",
      ca: ca.trimEnd(),
      headers: { authorization: "Bearer abc" },
    });
  });

  it.each<[name: string, url: string, base: string]>([
    ["a slash at the end", "https://k8s.acme.io/", "https://k8s.acme.io"],
    ["a path", "https://gate.acme.io/k8s/clusters/c-1", "https://gate.acme.io/k8s/clusters/c-1"],
    ["a path with a slash at the end", "https://gate.acme.io/k8s/", "https://gate.acme.io/k8s"],
  ])("keeps of its address all but a last slash: %s", async (_, url, base) => {
    const { access } = world({ ...server, server: url }, { "/token": "abc" });
    expect(await access.connect()).toEqual({ server: base, headers: { authorization: "Bearer abc" } });
  });

  it("takes up a token that was replaced, within a minute and without a refusal", async () => {
    const { access, clock, files, reads } = world(server, { "/token": "old" });
    await access.connect();
    files["/token"] = "new";
    await clock.advance(59_999);
    expect(await access.connect()).toMatchObject({ headers: { authorization: "Bearer old" } });
    await clock.advance(1);
    expect(await access.connect()).toMatchObject({ headers: { authorization: "Bearer new" } });
    expect(reads).toEqual(["/token", "/token"]);
  });

  it("takes up a token that was replaced at once when the old one was refused", async () => {
    const { access, files } = world(server, { "/token": "old" });
    await access.connect();
    files["/token"] = "new";
    expect(await access.renew()).toMatchObject({ headers: { authorization: "Bearer new" } });
    expect(await access.connect()).toMatchObject({ headers: { authorization: "Bearer new" } });
  });

  it("reads once for callers at the same time", async () => {
    const { access, reads } = world(server, { "/token": "abc" });
    await Promise.all([access.connect(), access.connect(), access.connect()]);
    await Promise.all([access.renew(), access.renew()]);
    expect(reads).toEqual(["/token", "/token"]);
  });

  it("is there again as soon as its file is", async () => {
    const { access, files } = world(server);
    await expect(access.connect()).rejects.toMatchObject({ code: "TARGET_DENIED" });
    files["/token"] = "abc";
    expect(await access.connect()).toMatchObject({ headers: { authorization: "Bearer abc" } });
  });

  it.each<[name: string, files: Record<string, string>, says: RegExp]>([
    ["no token file", { "/ca": ca }, /^edge: token: the file \/token cannot be read \(ENOENT\)$/],
    ["an empty token", { "/ca": ca, "/token": "  " }, /what `token` names is no token: it is empty/],
    ["a page instead of a token", { "/ca": ca, "/token": "<html>secret</html>" }, /is no token$/],
    ["a token of two lines", { "/ca": ca, "/token": "a\nb" }, /is no token$/],
    ["no certificate", { "/ca": "secret", "/token": "a" }, /what `ca` names holds no PEM certificate$/],
    ["a key for a certificate", { "/ca": key, "/token": "a" }, /what `ca` names holds no PEM certificate$/],
    [
      "a certificate still in base64",
      { "/ca": base64(ca), "/token": "a" },
      /base64 of PEM; decode it first$/,
    ],
  ])("is a person's to mend: %s", async (_, files, says) => {
    const { access } = world({ ...server, ca: "${file:/ca}" }, files);
    const failure = await access.connect().catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "TARGET_DENIED", message: expect.stringMatching(says) });
    expect(String(failure)).not.toMatch(/secret/);
  });

  it("puts no text into a header that a header cannot hold", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary" }), async (token) => {
        const { access } = world(server, { "/token": token });
        const connection = await access.connect().catch(() => undefined);
        if (connection === undefined) return;
        expect(new Headers(connection.headers).get("authorization")).toMatch(/^Bearer [\x21-\x7e]+$/);
      }),
    );
  });
});

describe("a pod's own cluster", () => {
  const folder = "/var/run/secrets/kubernetes.io/serviceaccount";
  const files = { [`${folder}/token`]: "abc", [`${folder}/ca.crt`]: ca };
  const at = (host: string) => ({ KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: "443" });

  it.each([
    ["10.96.0.1", "https://10.96.0.1:443"],
    ["fd00::1", "https://[fd00::1]:443"],
    ["kubernetes.default.svc", "https://kubernetes.default.svc:443"],
  ])("is where the pod is told: %s", async (host, address) => {
    const { access } = world({ inCluster: true }, { ...files }, at(host));
    expect(await access.connect()).toEqual({
      server: address,
      ca: ca.trimEnd(),
      headers: { authorization: "Bearer abc" },
    });
  });

  it.each<[string, Record<string, string>, Record<string, string>, RegExp]>([
    ["no pod", files, {}, /in a pod of the cluster only: KUBERNETES_SERVICE_HOST is not set here$/],
    ["no account", {}, at("10.96.0.1"), /no .*ca\.crt: .*`automountServiceAccountToken`/],
  ])("is not there: %s", async (_, present, variables, says) => {
    const { access } = world({ inCluster: true }, { ...present }, variables);
    await expect(access.connect()).rejects.toMatchObject({
      code: "TARGET_DENIED",
      message: expect.stringMatching(says),
    });
  });
});

/** A kubeconfig as `kubectl config view --flatten` prints it, in JSON, which is YAML too. */
function kubeconfig(cluster: object, user: object, rest: object = {}): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "c", cluster: { server: "https://k8s:6443", ...cluster } }],
    users: [{ name: "u", user }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u", namespace: "web" } }],
    "current-context": "x",
    preferences: {},
    ...rest,
  });
}

describe("a kubeconfig", () => {
  const path = "/etc/kube/config";
  const token = { token: "abc" };
  const bearer = { authorization: "Bearer abc" };
  const reach = (text: string, files: Record<string, string> = {}, context?: string) =>
    world({ kubeconfig: path, context }, { [path]: text, ...files }).access.connect();

  it.each<[name: string, text: string, files: Record<string, string>, connection: object]>([
    ["a token", kubeconfig({}, token), {}, { headers: bearer }],
    [
      "a token file, which wins over a token",
      kubeconfig({}, { token: "old", tokenFile: "/run/token" }),
      { "/run/token": "abc\n" },
      { headers: bearer },
    ],
    [
      "a token file beside the kubeconfig",
      kubeconfig({}, { tokenFile: "token" }),
      { "/etc/kube/token": "abc" },
      { headers: bearer },
    ],
    [
      "authority and client certificate in the file",
      kubeconfig(
        { "certificate-authority-data": base64(ca) },
        { "client-certificate-data": base64(cert), "client-key-data": base64(key) },
      ),
      {},
      { ca, cert, key, headers: {} },
    ],
    [
      "authority and client certificate in files beside it",
      kubeconfig(
        { "certificate-authority": "../ca.crt" },
        { "client-certificate": "me.crt", "client-key": "./me.key", ...token },
      ),
      { "/etc/ca.crt": ca, "/etc/kube/me.crt": cert, "/etc/kube/me.key": key },
      { ca, cert, key, headers: bearer },
    ],
    [
      "data, which wins over a file",
      kubeconfig({ "certificate-authority": "/gone", "certificate-authority-data": base64(ca) }, token),
      {},
      { ca, headers: bearer },
    ],
    [
      "another name in the certificate",
      kubeconfig({ "tls-server-name": "kubernetes" }, token),
      {},
      { servername: "kubernetes", headers: bearer },
    ],
    [
      "keys that are there and empty",
      kubeconfig(
        { "certificate-authority": "", "insecure-skip-tls-verify": false, "proxy-url": null },
        { ...token, "client-certificate": "", exec: null },
      ),
      {},
      { headers: bearer },
    ],
  ])("names the server and who one is there by %s", async (_, text, files, connection) => {
    expect(await reach(text, files)).toEqual({ server: "https://k8s:6443", ...connection });
  });

  it("is read in the context that is wanted", async () => {
    const more = {
      contexts: [
        { name: "x", context: { cluster: "c", user: "u" } },
        { name: "y", context: { cluster: "d", user: "v" } },
      ],
      clusters: [
        { name: "c", cluster: { server: "https://k8s:6443" } },
        { name: "d", cluster: { server: "https://other/prefix/" } },
      ],
      users: [
        { name: "u", user: { exec: { command: "gcloud" } } },
        { name: "v", user: { token: "other" } },
      ],
    };
    expect(await reach(kubeconfig({}, {}, more), {}, "y")).toEqual({
      server: "https://other/prefix",
      headers: { authorization: "Bearer other" },
    });
  });

  it("is YAML", async () => {
    const text = [
      "current-context: x",
      "contexts: [{name: x, context: {cluster: c, user: u}}]",
      "clusters:",
      "- name: c",
      '  cluster: {server: "https://k8s"}',
      "users:",
      "- name: u",
      "  user: {token: abc}",
    ].join("\n");
    expect(await reach(text)).toEqual({ server: "https://k8s", headers: bearer });
  });

  it("is read again after a refusal, with the files that it names", async () => {
    const files = { [path]: kubeconfig({}, { tokenFile: "token" }), "/etc/kube/token": "old" };
    const { access } = world({ kubeconfig: path }, files);
    await access.connect();
    files["/etc/kube/token"] = "new";
    expect(await access.renew()).toMatchObject({ headers: { authorization: "Bearer new" } });
  });

  it.each<[name: string, text: string, says: RegExp]>([
    [
      "no verification",
      kubeconfig({ "insecure-skip-tls-verify": true }, token),
      /insecure-skip-tls-verify is not taken/,
    ],
    ["a proxy", kubeconfig({ "proxy-url": "http://proxy" }, token), /proxy-url is not taken/],
    ["plain http", kubeconfig({ server: "http://127.0.0.1:8001" }, token), /plain http/],
    ["no address", kubeconfig({ server: "k8s:6443" }, token), /the server is no https address/],
    [
      "a program",
      kubeconfig({}, { exec: { command: "aws" } }),
      /runs a program \(exec\).*`gke`.*ServiceAccount/,
    ],
    ["a program beside a token", kubeconfig({}, { ...token, exec: {} }), /runs a program/],
    ["an auth provider", kubeconfig({}, { "auth-provider": { name: "gcp" } }), /auth-provider is gone/],
    [
      "a password",
      kubeconfig({}, { username: "admin", password: "secret" }),
      /gone from Kubernetes since 1\.19/,
    ],
    ["impersonation", kubeconfig({}, { ...token, as: "boss" }), /impersonation/],
    ["nothing to prove", kubeconfig({}, {}), /neither a token nor a client certificate/],
    [
      "half a pair",
      kubeconfig({}, { "client-key-data": base64(key) }),
      /a client key without the other half/,
    ],
    [
      "the other half",
      kubeconfig({}, { "client-certificate-data": base64(cert) }),
      /certificate without the other/,
    ],
    [
      "a file that is away",
      kubeconfig({ "certificate-authority": "ca" }, token),
      /the file ca cannot be read \(ENOENT\)/,
    ],
    [
      "data without base64",
      kubeconfig({ "certificate-authority-data": ca }, token),
      /certificate-authority-data holds no PEM/,
    ],
    ["no current context", kubeconfig({}, token, { "current-context": "" }), /no current-context; name one/],
    ["an unknown context", kubeconfig({}, token, { "current-context": "z" }), /has no context z; it has x$/],
    ["an unknown user", kubeconfig({}, token, { users: null }), /has no user u; it has none$/],
    [
      "a malformed user",
      kubeconfig({}, { token: ["secret"] }),
      /the user u is malformed: token does not fit/,
    ],
    ["a list", "[secret]", /is no kubeconfig/],
    ["no YAML", "clusters: [\n'secret", /is no YAML \(line \d+\)/],
    ["nothing", "", /is no kubeconfig/],
  ])("is a person's to mend, and no value of it is told: %s", async (_, text, says) => {
    const failure = await reach(text).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "TARGET_DENIED", message: expect.stringMatching(says) });
    expect(String(failure)).toMatch(/edge: kubeconfig \/etc\/kube\/config/);
    expect(String(failure)).not.toMatch(/secret/);
  });

  it("that is not there is named", async () => {
    await expect(world({ kubeconfig: path }).access.connect()).rejects.toMatchObject({
      code: "TARGET_DENIED",
      message: "edge: kubeconfig /etc/kube/config: the file /etc/kube/config cannot be read (ENOENT)",
    });
  });
});

describe("the client of a cluster", () => {
  const path = "/api/v1/pods";

  async function tried(server: string) {
    let suspicions = 0;
    const connection = { server, headers: {} };
    const client = kubernetesClient({
      target: "edge",
      access: {
        connect: async () => connection,
        renew: async () => connection,
        unreachable: () => void suspicions++,
        close: async () => {},
      },
    });
    const failure = await client.get(path).catch((error: unknown) => error);
    await client.close();
    return { failure, suspicions };
  }

  it("tells its access when nothing could be sent, so that the address is looked up again", async () => {
    // A port that nobody can listen on.
    const { failure, suspicions } = await tried("http://127.0.0.1:1");
    expect(failure).toMatchObject({ code: "TARGET_UNAVAILABLE" });
    expect(suspicions).toBe(1);
  });

  it("does not doubt an address where somebody answers", async () => {
    const google = await startGoogle();
    const { failure, suspicions } = await tried(`http://${google.host}`);
    await google.close();
    expect(failure).toMatchObject({ code: "TARGET_DENIED" });
    expect(suspicions).toBe(0);
  });
});

describe("a right that is missing", () => {
  const list = 'cannot list resource "deployments" in API group "apps"';

  it.each<[message: string, advice: string | RegExp | undefined]>([
    [
      `deployments.apps is forbidden: User "stranger" ${list} at the cluster scope`,
      "stranger may not list deployments.apps in all namespaces: apply infra/kubernetes/role.yaml, then `kubectl create clusterrolebinding landfall --clusterrole=landfall --user=stranger`; or list the namespaces it may read in `namespaces`",
    ],
    [
      `deployments.apps "web" is forbidden: User "system:serviceaccount:landfall:landfall" cannot patch resource "deployments" in API group "apps" in the namespace "shop"`,
      "system:serviceaccount:landfall:landfall may not patch deployments.apps in the namespace shop: apply infra/kubernetes/role.yaml, then `kubectl -n shop create rolebinding landfall --clusterrole=landfall --serviceaccount=landfall:landfall`",
    ],
    [
      `pods is forbidden: User "landfall-builds@acme.iam.gserviceaccount.com" cannot list resource "pods" in API group "" in the namespace "web": requires one of ["container.pods.list"] permission(s).`,
      /^landfall-builds@acme\.iam\.gserviceaccount\.com may not list pods in the namespace web: .*--user=landfall-builds@acme\.iam\.gserviceaccount\.com`$/,
    ],
    [
      'pods "st-1" is forbidden: User "landfall" cannot delete resource "pods" in API group "" in the namespace "web"',
      "landfall may not delete pods in the namespace web: apply infra/kubernetes/delete-pods.yaml with kubectl -n web",
    ],
    [
      `deployments.apps is forbidden: User "system:anonymous" ${list} at the cluster scope`,
      /^the call came in without credentials \(list deployments\.apps in all namespaces\)/,
    ],
    [
      `deployments.apps is forbidden: User "x; rm -rf /" ${list} at the cluster scope`,
      /^x; rm -rf \/ may not .* and bind it to that user; or list/,
    ],
    ['admission webhook "policy" denied the request: no', undefined],
    ["", undefined],
  ])("%s", (message, advice) => {
    const said = rightsAdvice(message);
    if (advice instanceof RegExp) expect(said).toMatch(advice);
    else expect(said).toBe(advice);
  });
});
