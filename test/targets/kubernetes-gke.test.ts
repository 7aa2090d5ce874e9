import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type HttpClient, httpClient } from "../../shared/http.ts";
import { type GoogleTokens, googleTokens } from "../../shared/targets/kubernetes/access/google-token.ts";
import { accessTo } from "../../shared/targets/kubernetes/connect.ts";
import { errorBody, type Google, startGoogle } from "../doubles/google.ts";
import { manualClock } from "../doubles/manual-clock.ts";

const name = "projects/acme/locations/europe-west1/clusters/prod";
const ca = "-----BEGIN CERTIFICATE-----\nQ0E=\n-----END CERTIFICATE-----\n";
const masterAuth = { clusterCaCertificate: Buffer.from(ca).toString("base64"), clientKey: "secret" };
/** As clusters of before DNS endpoints are described. */
const older = { name: "prod", status: "RUNNING", endpoint: "34.1.2.3", masterAuth };
/** As newer ones are. */
const newer = {
  ...older,
  controlPlaneEndpointsConfig: {
    dnsEndpointConfig: { endpoint: "gke-1a2b.europe-west1.gke.goog", allowExternalTraffic: true },
    ipEndpointsConfig: {
      enabled: true,
      enablePublicEndpoint: true,
      publicEndpoint: "34.1.2.3",
      privateEndpoint: "10.0.0.2",
    },
  },
};

let google: Google;
const opened: HttpClient[] = [];

beforeEach(async () => {
  google = await startGoogle();
  google.cluster = newer;
  // Where Google's own library looks for an account: nowhere but at the double.
  vi.stubEnv("GCE_METADATA_HOST", google.host);
  vi.stubEnv("METADATA_SERVER_DETECTION", "assume-present");
  vi.stubEnv("GOOGLE_APPLICATION_CREDENTIALS", "");
  vi.stubEnv("HOME", `${import.meta.dirname}/nobody`);
  vi.stubEnv("APPDATA", `${import.meta.dirname}/nobody`);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await Promise.all(opened.splice(0).map((http) => http.close()));
  await google.close();
});

type Endpoint = "dns" | "public" | "private" | "connect-gateway";

function world(
  endpoint: Endpoint,
  options: { readonly membership?: string; readonly tokens?: GoogleTokens } = {},
) {
  const clock = manualClock();
  const { membership, tokens } = options;
  const access = accessTo(
    { name: "gke-prod", kind: "kubernetes", namespaces: ["web"], gke: name, endpoint, membership },
    {
      secret: () => () => {
        throw new Error("a GKE cluster has no secret");
      },
      connect: (connection) => {
        const http = httpClient(connection);
        opened.push(http);
        return redirected(http);
      },
    },
    {
      clock,
      readFile: () => Promise.reject(new Error("a GKE cluster has no file")),
      googleTokens: async (project) => tokens ?? googleTokens(project),
    },
  );
  return { access, clock };
}

/** Google's container API is the double; nothing else may be asked. */
function redirected(http: HttpClient): HttpClient {
  return {
    close: () => http.close(),
    request: (request) => {
      expect(request.url).toMatch(/^https:\/\/container\.googleapis\.com\//);
      return http.request({
        ...request,
        url: request.url.replace("https://container.googleapis.com", `http://${google.host}`),
      });
    },
  };
}

const asked = (to: string) => google.requests.filter((request) => request.to === to);
const headers = { authorization: "Bearer token-1" };

describe("a GKE cluster's address", () => {
  const private_ = { enablePrivateNodes: true, privateEndpoint: "10.0.0.2" };
  const ips = (config: object) => ({
    controlPlaneEndpointsConfig: {
      ...newer.controlPlaneEndpointsConfig,
      ipEndpointsConfig: { ...newer.controlPlaneEndpointsConfig.ipEndpointsConfig, ...config },
    },
  });

  it.each<[name: string, endpoint: Endpoint, cluster: object, connection: object]>([
    [
      "its DNS name, whose certificate is public",
      "dns",
      newer,
      { server: "https://gke-1a2b.europe-west1.gke.goog" },
    ],
    ["the public address", "public", newer, { server: "https://34.1.2.3", ca }],
    ["the private address", "private", newer, { server: "https://10.0.0.2", ca }],
    ["the only address of an older cluster", "public", older, { server: "https://34.1.2.3", ca }],
    [
      "the public address of an older private cluster",
      "public",
      { ...older, privateClusterConfig: { ...private_, publicEndpoint: "34.9.9.9" } },
      { server: "https://34.9.9.9", ca },
    ],
    [
      "the private address of an older private cluster",
      "private",
      { ...older, privateClusterConfig: private_ },
      { server: "https://10.0.0.2", ca },
    ],
    [
      "the only address of a cluster without a public one",
      "private",
      { ...older, endpoint: "10.0.0.2", privateClusterConfig: { enablePrivateEndpoint: true } },
      { server: "https://10.0.0.2", ca },
    ],
    [
      "the private address, IPv6",
      "private",
      { ...newer, ...ips({ privateEndpoint: "fd00::2" }) },
      { server: "https://[fd00::2]", ca },
    ],
    [
      "the gateway's, for the global membership that the cluster names",
      "connect-gateway",
      {
        ...newer,
        fleet: { membership: "//gkehub.googleapis.com/projects/77/locations/global/memberships/prod" },
      },
      { server: "https://connectgateway.googleapis.com/v1/projects/77/locations/global/gkeMemberships/prod" },
    ],
    [
      "the gateway's, for the regional membership that the cluster names",
      "connect-gateway",
      {
        ...newer,
        fleet: { membership: "//gkehub.googleapis.com/projects/77/locations/europe-west1/memberships/prod" },
      },
      {
        server:
          "https://europe-west1-connectgateway.googleapis.com/v1/projects/77/locations/europe-west1/gkeMemberships/prod",
      },
    ],
  ])("is %s", async (_, endpoint, cluster, connection) => {
    google.cluster = cluster;
    expect(await world(endpoint).access.connect()).toEqual({ ...connection, headers });
  });

  it.each<[name: string, endpoint: Endpoint, cluster: object, says: string | RegExp]>([
    [
      "DNS is closed to all but Google",
      "dns",
      {
        ...newer,
        controlPlaneEndpointsConfig: {
          dnsEndpointConfig: { endpoint: "x.gke.goog", allowExternalTraffic: false },
        },
      },
      "its DNS endpoint lets nobody in: `gcloud container clusters update prod --project=acme --location=europe-west1 --enable-dns-access`",
    ],
    [
      "nothing is said of who DNS lets in",
      "dns",
      { ...newer, controlPlaneEndpointsConfig: { dnsEndpointConfig: { endpoint: "x.gke.goog" } } },
      /lets nobody in/,
    ],
    ["an older cluster has no DNS name", "dns", older, "has no DNS endpoint; use another `endpoint`"],
    [
      "IP endpoints are off",
      "public",
      { ...newer, ...ips({ enabled: false }) },
      /switched off; use `endpoint: dns`/,
    ],
    [
      "there is no public address",
      "public",
      { ...newer, endpoint: "10.0.0.2", ...ips({ enablePublicEndpoint: false, publicEndpoint: undefined }) },
      "has no public endpoint; use `endpoint` `private` or `dns`",
    ],
    [
      "the only address of an older cluster is private",
      "public",
      { ...older, endpoint: "10.0.0.2", privateClusterConfig: { ...private_, enablePrivateEndpoint: true } },
      /has no public endpoint/,
    ],
    [
      "there is no private address",
      "private",
      older,
      /has no private endpoint; use `endpoint` `public` or `dns`/,
    ],
    [
      "it is being made",
      "public",
      { status: "PROVISIONING" },
      /has no public endpoint \(it is PROVISIONING\)/,
    ],
    ["its authority is not named", "public", { ...newer, masterAuth: {} }, /named no authority/],
    ["it is in no fleet", "connect-gateway", newer, /is in no fleet/],
    [
      "its membership has no project number",
      "connect-gateway",
      {
        ...newer,
        fleet: { membership: "//gkehub.googleapis.com/projects/acme/locations/global/memberships/prod" },
      },
      /give `membership` with it/,
    ],
  ])("is a person's to mend when %s", async (_, endpoint, cluster, says) => {
    google.cluster = cluster;
    const failure = await world(endpoint)
      .access.connect()
      .catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: "TARGET_DENIED",
      message: typeof says === "string" ? `gke-prod: ${name}: ${says}` : expect.stringMatching(says),
    });
  });

  it("needs no right on the cluster where the membership is given", async () => {
    const membership = "projects/77/locations/us-west4/memberships/prod-2";
    const { access } = world("connect-gateway", { membership });
    expect(await access.connect()).toEqual({
      server:
        "https://us-west4-connectgateway.googleapis.com/v1/projects/77/locations/us-west4/gkeMemberships/prod-2",
      headers,
    });
    expect(asked("cluster")).toEqual([]);
  });

  it("is asked for once, with the fields that are needed and no more", async () => {
    const { access, clock } = world("dns");
    await Promise.all([access.connect(), access.connect()]);
    await clock.advance(14 * 60_000);
    await access.connect();
    const [request, ...more] = asked("cluster");
    expect(more).toEqual([]);
    expect(request?.headers.authorization).toBe("Bearer token-1");
    const url = new URL(request?.path ?? "", "http://google");
    expect(url.pathname).toBe(`/v1/${name}`);
    expect(url.searchParams.get("fields")).not.toMatch(/clientKey|nodePools/);
  });

  it("is asked for again after a while, and sooner when it led nowhere, but not at each call", async () => {
    const { access, clock } = world("public");
    await access.connect();
    google.cluster = { ...newer, ...ips({ publicEndpoint: "34.7.7.7" }) };
    access.unreachable?.();
    expect(await access.connect()).toMatchObject({ server: "https://34.1.2.3" });
    await clock.advance(30_000);
    expect(await access.connect()).toMatchObject({ server: "https://34.7.7.7" });
    expect(asked("cluster")).toHaveLength(2);
    await clock.advance(15 * 60_000 - 1);
    await access.connect();
    expect(asked("cluster")).toHaveLength(2);
    await clock.advance(1);
    await access.connect();
    expect(asked("cluster")).toHaveLength(3);
  });

  it("is believed while Google's API is down, if it was known before", async () => {
    const { access, clock } = world("public");
    await access.connect();
    google.troubles.cluster.push({ kind: "answer", status: 503 }, { kind: "break" });
    await clock.advance(15 * 60_000);
    expect(await access.connect()).toMatchObject({ server: "https://34.1.2.3" });
    expect(asked("cluster")).toHaveLength(2);
  });

  it.each<[name: string, status: number, body: string, failure: object]>([
    [
      "no right",
      403,
      errorBody(403, "PERMISSION_DENIED", 'Required "container.clusters.get" permission'),
      {
        code: "TARGET_DENIED",
        message: expect.stringMatching(/403: Required "container\.clusters\.get".*clusterViewer/),
      },
    ],
    [
      "no such cluster",
      404,
      errorBody(404, "NOT_FOUND", "Not found: clusters/prod."),
      {
        code: "TARGET_DENIED",
        message: expect.stringMatching(/404: Not found.*check `gke`, its location included/),
      },
    ],
    ["no trouble of ours", 500, "", { code: "TARGET_UNAVAILABLE", retryable: true }],
    ["a page", 200, "<html>", { code: "TARGET_UNAVAILABLE" }],
  ])("is not known after %s", async (_, status, body, failure) => {
    google.troubles.cluster.push({ kind: "answer", status, body });
    const { access } = world("dns");
    await expect(access.connect()).rejects.toMatchObject(failure);
    expect(await access.connect()).toMatchObject({ server: expect.any(String) });
  });

  it("passes on how long Google asks to be left alone", async () => {
    google.troubles.cluster.push({ kind: "answer", status: 429, headers: { "retry-after": "20" } });
    await expect(world("dns").access.connect()).rejects.toMatchObject({
      code: "TARGET_UNAVAILABLE",
      retryAfterMs: 20_000,
    });
  });
});

describe("an access token of Google's", () => {
  it("is of the instance's account, for all of Google Cloud and with its address", async () => {
    await world("dns").access.connect();
    const [request] = asked("token");
    expect(new URL(request?.path ?? "", "http://google").searchParams.get("scopes")?.split(",")).toEqual([
      "https://www.googleapis.com/auth/cloud-platform",
      "https://www.googleapis.com/auth/userinfo.email",
    ]);
  });

  it("is kept while it is good", async () => {
    const { access } = world("dns");
    for (let call = 0; call < 3; call++) expect(await access.connect()).toMatchObject({ headers });
    expect(asked("token")).toHaveLength(1);
  });

  it("is another one when the old one is about to end", async () => {
    google.lastsS = 240;
    const { access } = world("dns");
    await access.connect();
    expect(await access.connect()).toMatchObject({ headers: { authorization: "Bearer token-2" } });
  });

  it("is another one after a refusal, and the address stays", async () => {
    const { access } = world("dns");
    await access.connect();
    expect(await access.renew()).toMatchObject({ headers: { authorization: "Bearer token-2" } });
    expect(await access.connect()).toMatchObject({ headers: { authorization: "Bearer token-2" } });
    expect(asked("cluster")).toHaveLength(1);
  });

  it("is a person's to mend where there is no account at all", async () => {
    vi.stubEnv("METADATA_SERVER_DETECTION", "none");
    await expect(world("dns").access.connect()).rejects.toMatchObject({
      code: "TARGET_DENIED",
      message: expect.stringMatching(
        /^gke-prod: no access token of Google's: Could not load the default credentials/,
      ),
    });
  });

  it("that cannot be had now can be had later", async () => {
    let tries = 0;
    const tokens: GoogleTokens = {
      token: async () => {
        if (tries++ === 0) throw new Error("socket hang up");
        return "abc";
      },
      forget: () => {},
    };
    const { access } = world("connect-gateway", {
      membership: "projects/77/locations/global/memberships/prod",
      tokens,
    });
    await expect(access.connect()).rejects.toMatchObject({ code: "TARGET_UNAVAILABLE" });
    expect(await access.connect()).toMatchObject({ headers: { authorization: "Bearer abc" } });
  });

  it("is not waited for without end", async () => {
    let forgotten = 0;
    const tokens = { token: () => new Promise<string>(() => {}), forget: () => void forgotten++ };
    const { access, clock } = world("dns", { tokens });
    const failed = expect(access.connect()).rejects.toMatchObject({
      code: "TARGET_UNAVAILABLE",
      message: "gke-prod: no access token of Google's: no answer within 10000 ms",
    });
    await clock.advance(10_000);
    await failed;
    expect(forgotten).toBe(1);
  });
});
