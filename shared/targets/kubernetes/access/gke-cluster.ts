import { isIPv6 } from "node:net";
import * as z from "zod/mini";
import type { ClusterConnection } from "../access.ts";

/** https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1/projects.locations.clusters#Cluster */
export const GkeCluster = z.object({
  status: z.optional(z.string()),
  endpoint: z.optional(z.string()),
  masterAuth: z.optional(z.object({ clusterCaCertificate: z.optional(z.string()) })),
  privateClusterConfig: z.optional(
    z.object({
      enablePrivateEndpoint: z.optional(z.boolean()),
      privateEndpoint: z.optional(z.string()),
      publicEndpoint: z.optional(z.string()),
    }),
  ),
  controlPlaneEndpointsConfig: z.optional(
    z.object({
      dnsEndpointConfig: z.optional(
        z.object({ endpoint: z.optional(z.string()), allowExternalTraffic: z.optional(z.boolean()) }),
      ),
      ipEndpointsConfig: z.optional(
        z.object({
          enabled: z.optional(z.boolean()),
          enablePublicEndpoint: z.optional(z.boolean()),
          publicEndpoint: z.optional(z.string()),
          privateEndpoint: z.optional(z.string()),
        }),
      ),
    }),
  ),
  fleet: z.optional(z.object({ membership: z.optional(z.string()) })),
});
export type GkeCluster = z.infer<typeof GkeCluster>;

/** What is asked for of a cluster: its whole description, node pools included, can be 100 kB. */
export const gkeFields = [
  "status",
  "endpoint",
  "masterAuth.clusterCaCertificate",
  "privateClusterConfig(enablePrivateEndpoint,privateEndpoint,publicEndpoint)",
  "controlPlaneEndpointsConfig(dnsEndpointConfig(endpoint,allowExternalTraffic),ipEndpointsConfig(enabled,enablePublicEndpoint,publicEndpoint,privateEndpoint))",
  "fleet.membership",
].join(",");

export type GkeEndpoint = "dns" | "public" | "private" | "connect-gateway";
/** How a cluster is reached, or why not, with what to do about it. */
export type GkeAddress = Pick<ClusterConnection, "server" | "ca"> | { readonly problem: string };

const memberships = /projects\/(\d+)\/locations\/([^/]+)\/memberships\/([^/]+)$/;

/** The address of a cluster. @param name `projects/P/locations/L/clusters/C`, for what to do about it */
export function addressOf(cluster: GkeCluster, endpoint: GkeEndpoint, name: string): GkeAddress {
  switch (endpoint) {
    case "dns":
      return dnsAddress(cluster, name);
    case "public":
      return ipAddress(cluster, publicIp(cluster), "public");
    case "private":
      return ipAddress(cluster, privateIp(cluster), "private");
    case "connect-gateway":
      return membershipAddress(cluster);
    default:
      return endpoint satisfies never;
  }
}

/**
 * Connect gateway's address of a membership of a GKE cluster:
 * https://cloud.google.com/kubernetes-engine/enterprise/multicluster-management/gateway. Its certificate is public.
 * @param membership ends in `projects/NUMBER/locations/LOCATION/memberships/NAME`
 */
export function gatewayAddress(membership: string): string | undefined {
  const [, project, location, name] = memberships.exec(membership) ?? [];
  if (project === undefined) return undefined;
  // A regional membership is known to its region's host only.
  const host = `${location === "global" ? "" : `${location}-`}connectgateway.googleapis.com`;
  // `gkeMemberships` for clusters of GKE: through `memberships`, which is for all others, calls hang.
  return `https://${host}/v1/projects/${project}/locations/${location}/gkeMemberships/${name}`;
}

function dnsAddress(cluster: GkeCluster, name: string): GkeAddress {
  const { endpoint, allowExternalTraffic } = cluster.controlPlaneEndpointsConfig?.dnsEndpointConfig ?? {};
  if (!endpoint) return { problem: `has no DNS endpoint${stateOf(cluster)}; use another \`endpoint\`` };
  if (allowExternalTraffic !== true) {
    const [, project, , location, , id] = name.split("/");
    return {
      problem: `its DNS endpoint lets nobody in: \`gcloud container clusters update ${id} --project=${project} --location=${location} --enable-dns-access\``,
    };
  }
  // A public certificate: the cluster's own authority has not signed it.
  return { server: `https://${endpoint}` };
}

function publicIp({ endpoint, privateClusterConfig, controlPlaneEndpointsConfig }: GkeCluster) {
  const { publicEndpoint, enablePublicEndpoint } = controlPlaneEndpointsConfig?.ipEndpointsConfig ?? {};
  if (enablePublicEndpoint === false || privateClusterConfig?.enablePrivateEndpoint === true)
    return undefined;
  const known = publicEndpoint || privateClusterConfig?.publicEndpoint;
  if (known) return known;
  const hidden = [
    privateClusterConfig?.privateEndpoint,
    controlPlaneEndpointsConfig?.ipEndpointsConfig?.privateEndpoint,
  ];
  return hidden.includes(endpoint) ? undefined : endpoint;
}

function privateIp({ endpoint, privateClusterConfig, controlPlaneEndpointsConfig }: GkeCluster) {
  const ips = controlPlaneEndpointsConfig?.ipEndpointsConfig;
  const known = ips?.privateEndpoint || privateClusterConfig?.privateEndpoint;
  if (known) return known;
  // A cluster without a public endpoint has the private one in the place of the only one.
  const only = ips?.enablePublicEndpoint === false || privateClusterConfig?.enablePrivateEndpoint === true;
  return only ? endpoint : undefined;
}

function ipAddress(cluster: GkeCluster, ip: string | undefined, kind: "public" | "private"): GkeAddress {
  if (cluster.controlPlaneEndpointsConfig?.ipEndpointsConfig?.enabled === false) {
    return { problem: "its IP endpoints are switched off; use `endpoint: dns`" };
  }
  if (!ip) {
    const other = kind === "public" ? "`private` or `dns`" : "`public` or `dns`";
    return { problem: `has no ${kind} endpoint${stateOf(cluster)}; use \`endpoint\` ${other}` };
  }
  const ca = Buffer.from(cluster.masterAuth?.clusterCaCertificate ?? "", "base64").toString("utf8");
  if (!ca.includes("-----BEGIN CERTIFICATE-----")) {
    return { problem: `Google named no authority for its certificate${stateOf(cluster)}` };
  }
  return { server: `https://${isIPv6(ip) ? `[${ip}]` : ip}`, ca };
}

function membershipAddress({ fleet }: GkeCluster): GkeAddress {
  if (!fleet?.membership) {
    return {
      problem: "is in no fleet, which the connect gateway needs: register it, or use another `endpoint`",
    };
  }
  const server = gatewayAddress(fleet.membership);
  if (server !== undefined) return { server };
  return {
    problem: "names its membership without the project's number; give `membership` with it",
  };
}

function stateOf({ status }: GkeCluster): string {
  return status === undefined || status === "RUNNING" ? "" : ` (it is ${status})`;
}
