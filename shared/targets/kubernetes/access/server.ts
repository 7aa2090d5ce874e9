import { isIPv6 } from "node:net";
import { ConfigError, TargetDeniedError } from "../../../errors.ts";
import type { ResolveSecret } from "../../../secret.ts";
import type { ClusterConnection } from "../access.ts";
import { bearer, pem } from "./material.ts";

/** Where every pod finds its own: https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/. */
const podFolder = "/var/run/secrets/kubernetes.io/serviceaccount";

/** A server, its authority and a token, each a template that is read at each call of the result. */
export function readServer(
  target: string,
  {
    server,
    ca,
    token,
  }: { readonly server: string; readonly ca?: string | undefined; readonly token: string },
  secret: ResolveSecret,
): () => Promise<ClusterConnection> {
  return async () => ({
    server: server.replace(/\/+$/, ""),
    ...(ca === undefined
      ? {}
      : { ca: pem(resolved(target, ca, secret), "CERTIFICATE", `${target}: what \`ca\` names`) }),
    headers: bearer(resolved(target, token, secret), `${target}: what \`token\` names`),
  });
}

/** The cluster that this process is a pod of. */
export function readPod(target: string, secret: ResolveSecret): () => Promise<ClusterConnection> {
  return async () => {
    const variable = (name: string) => {
      try {
        return secret(`\${${name}}`)();
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        throw new TargetDeniedError(
          `${target}: \`inCluster\` works in a pod of the cluster only: ${name} is not set here`,
          { cause: error },
        );
      }
    };
    const host = variable("KUBERNETES_SERVICE_HOST");
    const port = variable("KUBERNETES_SERVICE_PORT");
    const file = (name: string) => {
      try {
        return secret(`\${file:${podFolder}/${name}}`)();
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        throw new TargetDeniedError(
          `${target}: the pod has no ${podFolder}/${name}: give it a \`serviceAccountName\` and leave \`automountServiceAccountToken\` on`,
          { cause: error },
        );
      }
    };
    return {
      server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
      ca: pem(file("ca.crt"), "CERTIFICATE", `${target}: the pod's ca.crt`),
      headers: bearer(file("token"), `${target}: the pod's token`),
    };
  };
}

function resolved(target: string, template: string, secret: ResolveSecret): string {
  try {
    return secret(template)();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new TargetDeniedError(`${target}: ${error.problems.join("; ")}`, { cause: error });
  }
}
