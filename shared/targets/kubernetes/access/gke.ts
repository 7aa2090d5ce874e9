import * as z from "zod/mini";
import type { Clock } from "../../../clock.ts";
import { messageOf, TargetDeniedError, TargetUnavailableError } from "../../../errors.ts";
import { type HttpAnswer, type HttpClient, retryAfterMs } from "../../../http.ts";
import type { Access, ClusterConnection } from "../access.ts";
import { addressOf, GkeCluster, type GkeEndpoint, gatewayAddress, gkeFields } from "./gke-cluster.ts";
import type { GoogleTokens } from "./google-token.ts";

export interface GkeOptions {
  /** Name of the target, for messages. */
  readonly target: string;
  /** `projects/P/locations/L/clusters/C` */
  readonly cluster: string;
  readonly endpoint: GkeEndpoint;
  /** `projects/NUMBER/locations/L/memberships/M`; `undefined`: the one that the cluster names. */
  readonly membership: string | undefined;
  readonly tokens: (project: string) => Promise<GoogleTokens>;
  /** For Google's own API. */
  readonly http: HttpClient;
  readonly clock: Pick<Clock, "now" | "monotonic" | "sleep">;
}

type Address = Pick<ClusterConnection, "server" | "ca">;

const deadlineMs = 10_000;
const maxBytes = 1024 * 1024;
/** Addresses and authorities change about never, and then with a notice; a failed connection asks sooner. */
const descriptionLastsMs = 15 * 60_000;
/** A cluster that is down must not make each call ask Google again. */
const askAgainAfterMs = 30_000;

const ErrorBody = z.object({ error: z.object({ message: z.string() }) });

/** A GKE cluster as Google's service account: address and authority by the container API, and an access token. */
export function gkeAccess(options: GkeOptions): Access {
  const { target, cluster, endpoint, membership, http, clock } = options;
  let tokens: GoogleTokens | undefined;
  let known: { readonly address: Address; readonly atMs: number } | undefined;
  let asking: Promise<Address> | undefined;
  let suspect = false;

  async function token(): Promise<string> {
    const patience = new AbortController();
    const tooLate = clock.sleep(deadlineMs, patience.signal).then(() => {
      throw new Error(`no answer within ${deadlineMs} ms`);
    });
    tooLate.catch(() => {});
    try {
      tokens ??= await options.tokens(cluster.split("/")[1] ?? "");
      return await Promise.race([tokens.token(), tooLate]);
    } catch (error) {
      tokens?.forget();
      const problem = `${target}: no access token of Google's: ${messageOf(error)}`;
      // There is no class of error for it; https://cloud.google.com/docs/authentication/application-default-credentials
      if (/default credentials/i.test(messageOf(error))) {
        throw new TargetDeniedError(problem, { cause: error });
      }
      throw new TargetUnavailableError(problem, { cause: error });
    } finally {
      patience.abort();
    }
  }

  async function describe(bearer: string): Promise<Address> {
    let answer: HttpAnswer;
    try {
      answer = await http.request({
        method: "GET",
        url: `https://container.googleapis.com/v1/${cluster}?fields=${encodeURIComponent(gkeFields)}`,
        headers: { accept: "application/json", authorization: `Bearer ${bearer}` },
        deadlineMs,
        maxBytes,
      });
    } catch (error) {
      throw new TargetUnavailableError(`${target}: Google's container API: ${messageOf(error)}`, {
        cause: error,
      });
    }
    if (answer.status !== 200) throw refusal(answer);
    const parsed = GkeCluster.safeParse(jsonOf(answer));
    if (!parsed.success) {
      throw new TargetUnavailableError(`${target}: Google's container API described no cluster`);
    }
    const address = addressOf(parsed.data, endpoint, cluster);
    if ("problem" in address) throw new TargetDeniedError(`${target}: ${cluster}: ${address.problem}`);
    return address;
  }

  function refusal(answer: HttpAnswer): Error {
    const { status } = answer;
    const words = ErrorBody.safeParse(jsonOf(answer));
    const said = `${target}: Google's container API answered ${status}${words.success ? `: ${words.data.error.message.slice(0, 300)}` : ""}`;
    if (status === 403) {
      return new TargetDeniedError(
        `${said}; it takes roles/container.clusterViewer in the cluster's project, and the API container.googleapis.com`,
      );
    }
    if (status === 404) return new TargetDeniedError(`${said}; check \`gke\`, its location included`);
    if (status === 401) return new TargetDeniedError(said);
    return new TargetUnavailableError(said, { retryAfterMs: retryAfterMs(answer, clock.now()) });
  }

  function isStale({ atMs }: { readonly atMs: number }): boolean {
    return clock.monotonic() - atMs >= (suspect ? askAgainAfterMs : descriptionLastsMs);
  }

  async function address(bearer: string): Promise<Address> {
    if (membership !== undefined) {
      const server = gatewayAddress(membership);
      if (server !== undefined) return { server };
    }
    if (known !== undefined && !isStale(known)) return known.address;
    asking ??= describe(bearer).finally(() => {
      asking = undefined;
    });
    try {
      known = { address: await asking, atMs: clock.monotonic() };
      suspect = false;
    } catch (error) {
      // The cluster is most likely where it was, even if Google's API cannot say so at the moment.
      if (known === undefined || !(error instanceof TargetUnavailableError)) throw error;
      known = { address: known.address, atMs: clock.monotonic() };
    }
    return known.address;
  }

  async function connect(): Promise<ClusterConnection> {
    const bearer = await token();
    return { ...(await address(bearer)), headers: { authorization: `Bearer ${bearer}` } };
  }

  return {
    connect,
    renew: async () => {
      tokens?.forget();
      return connect();
    },
    unreachable: () => {
      suspect = true;
    },
    close: () => http.close(),
  };
}

function jsonOf({ body }: HttpAnswer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}
