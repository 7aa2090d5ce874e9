import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type DefaultIdentity, machineIdentity } from "../shared/bus/pubsub/default-identity.ts";
import { pubsubBus } from "../shared/bus/pubsub.ts";
import { systemClock } from "../shared/clock.ts";
import { type Google, startGoogle } from "./doubles/google.ts";

const audience =
  "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/github/providers/acme";

let folder: string;
let google: Google;
let tokens: Server;
/** What the token server was asked. */
let exchanged: URLSearchParams[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "landfall-identity-"));
  google = await startGoogle();
  exchanged = [];
  tokens = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    exchanged.push(new URLSearchParams(body));
    response.writeHead(200, { "content-type": "application/json" });
    response.end(
      JSON.stringify({
        access_token: "token-1",
        expires_in: 3_600,
        token_type: "Bearer",
        issued_token_type: "urn:ietf:params:oauth:token-type:access_token",
      }),
    );
  }).listen(0, "127.0.0.1");
  await once(tokens, "listening");
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await google.close();
  tokens.closeAllConnections();
  tokens.close();
  await rm(folder, { recursive: true });
});

/** As `google-github-actions/auth` leaves a job: a file that says where the job's own token is, and who takes it. */
async function federated(change: object = {}): Promise<DefaultIdentity> {
  await writeFile(join(folder, "job-token"), "a-jwt-of-the-job");
  const path = join(folder, "credentials.json");
  const { port } = tokens.address() as AddressInfo;
  const credentials = {
    type: "external_account",
    audience,
    subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
    token_url: `http://127.0.0.1:${port}/v1/token`,
    credential_source: { file: join(folder, "job-token") },
    ...change,
  };
  await writeFile(path, JSON.stringify(credentials));
  vi.stubEnv("GOOGLE_APPLICATION_CREDENTIALS", path);
  return machineIdentity("acme");
}

describe("the machine's identity", () => {
  it("publishes from a CI job by workload identity federation, without a key", async () => {
    const identity = await federated();
    const bus = pubsubBus({
      topic: { project: undefined, id: "landfall" },
      clock: systemClock,
      random: Math.random,
      project: undefined,
      emulatorHost: undefined,
      metadataHost: undefined,
      origin: `http://${google.host}`,
      identity,
    });
    expect(await bus.publishText('{"image":"gcr.io/acme/api"}')).toBe("0");
    await bus.close();
    expect(google.requests).toMatchObject([
      { path: "/v1/projects/acme/topics/landfall:publish", headers: { authorization: "Bearer token-1" } },
    ]);
    expect(Object.fromEntries(exchanged[0] ?? [])).toMatchObject({
      audience,
      subject_token: "a-jwt-of-the-job",
      scope: "https://www.googleapis.com/auth/pubsub",
    });
    expect(await identity.email()).toBeUndefined();
  });

  it("is told by its address, where a job stands in for a service account", async () => {
    const account = "ci@acme.iam.gserviceaccount.com";
    const identity = await federated({
      service_account_impersonation_url: `https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${account}:generateAccessToken`,
    });
    expect(await identity.email()).toBe(account);
    expect(exchanged).toEqual([]);
  });

  it("is nobody where there are no credentials, and says so in Google's words", async () => {
    vi.stubEnv("GOOGLE_APPLICATION_CREDENTIALS", join(folder, "nowhere.json"));
    const identity = machineIdentity("acme");
    await expect(identity.token(1_000)).rejects.toMatchObject({
      code: "BUS_UNAVAILABLE",
      message: expect.stringMatching(/no Application Default Credentials that work: .*nowhere\.json/),
    });
    expect(await identity.email()).toBeUndefined();
  });
});
