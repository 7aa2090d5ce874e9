/** How a cluster's API server is reached and who Landfall is there, for one call. */
export interface ClusterConnection {
  /**
   * Base URL of the API server, without a slash at its end, e.g. `https://10.0.0.2:6443`. It may have a path, which
   * every call keeps: `https://connectgateway.googleapis.com/v1/projects/7/locations/global/gkeMemberships/prod`.
   */
  readonly server: string;
  /** PEM of the authorities that the server's certificate is checked against; absent: the public ones. */
  readonly ca?: string;
  /** PEM of a client certificate and its key. */
  readonly cert?: string;
  readonly key?: string;
  /** The name in the server's certificate, where it is not the one in `server`. */
  readonly servername?: string;
  /** Sent with every call, e.g. `{ authorization: "Bearer …" }`. */
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Where the address and the credentials of a cluster come from. Both methods throw `TargetDeniedError` for what a
 * person must mend, e.g. a file that is missing, and `TargetUnavailableError` for what may be over later.
 */
export interface Access {
  /** Asked before every call: answers from what is known while that is fresh. Never gives an expired token. */
  connect(): Promise<ClusterConnection>;
  /** The server refused (401) what `connect` gave: reads or obtains it anew, once, whatever its age. */
  renew(): Promise<ClusterConnection>;
  /** No connection, or no trust, came of what `connect` gave: an address that was looked up may have changed since. */
  unreachable?(): void;
  close(): Promise<void>;
}
