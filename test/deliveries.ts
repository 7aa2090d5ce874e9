/** A request as one of the sources sends it: what any test needs to report a push authentically. */
export interface SampleDelivery {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface SamplePush {
  /** Without host, e.g. `acme/api`. */
  readonly repository?: string;
  readonly tag?: string;
}

/** Docker Hub proves itself by the secret in the path alone. */
export function dockerhubDelivery(secret: string, push: SamplePush = {}): SampleDelivery {
  const { repository = "acme/api", tag = "1.8.0" } = push;
  const [namespace = "", name = ""] = repository.split("/");
  return {
    path: `/hooks/dockerhub/${encodeURIComponent(secret)}`,
    headers: { "content-type": "application/json", "user-agent": "python-requests/2.22.0" },
    body: JSON.stringify({
      push_data: { pushed_at: 1718000000, images: [], tag, pusher: "acmebot" },
      callback_url: `https://registry.hub.docker.com/u/${repository}/hook/2a1b3c4d5e6f/`,
      repository: {
        status: "Active",
        repo_url: `https://hub.docker.com/r/${repository}`,
        owner: namespace,
        is_private: true,
        name,
        namespace,
        full_description: null,
        repo_name: repository,
      },
    }),
  };
}

/** A registry of the CNCF distribution, which sends a static header; one event a push, with ids of their own. */
export function distributionDelivery(
  secret: string,
  pushes: readonly (SamplePush & { readonly digest?: string; readonly host?: string })[] = [{}],
): SampleDelivery {
  return {
    path: "/hooks/distribution",
    headers: {
      "content-type": "application/vnd.docker.distribution.events.v2+json",
      authorization: `Bearer ${secret}`,
    },
    body: JSON.stringify({
      events: pushes.map((push, index) => ({
        id: `320678d8-ca14-430f-8bb6-${String(index).padStart(12, "0")}`,
        timestamp: "2024-06-10T06:13:20.402973972Z",
        action: "push",
        target: {
          mediaType: "application/vnd.oci.image.index.v1+json",
          digest: push.digest ?? `sha256:${"3".repeat(64)}`,
          repository: push.repository ?? "acme/api",
          tag: push.tag ?? "1.8.0",
        },
        request: { host: push.host ?? "registry.example.com:5000", method: "PUT" },
        actor: { name: "ci" },
      })),
    }),
  };
}

/** A CI job that reports its own build; `repository` with its host here. */
export function nativeDelivery(secret: string, push: SamplePush = {}): SampleDelivery {
  const { repository = "gcr.io/acme/api", tag = "1.8.0" } = push;
  return {
    path: "/hooks/native",
    headers: { "content-type": "application/json", authorization: `Bearer ${secret}` },
    body: JSON.stringify({ image_name: repository, tag, repo: "https://github.com/acme/api.git" }),
  };
}
