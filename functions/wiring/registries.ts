import type { Clock } from "../../shared/clock.ts";
import type { LoadedConfig } from "../../shared/config/load.ts";
import type { OciHost } from "../../shared/registry/oci/host.ts";
import type { OciRegistry } from "../../shared/registry/oci/oci-registry.ts";

type RegistryEntry = LoadedConfig["config"]["registries"][number];

/** How a registry of the configuration is reached. */
export function ociHost(
  { host, url, plainHttp, ca, username, password }: RegistryEntry,
  { secret }: LoadedConfig,
): OciHost {
  return {
    host,
    ...(url === undefined ? {} : { url }),
    ...(plainHttp === undefined ? {} : { plainHttp }),
    ...(ca === undefined ? {} : { ca: secret(ca) }),
    ...(username === undefined ? {} : { username: secret(username) }),
    ...(password === undefined ? {} : { password: secret(password) }),
  };
}

/** One registry, for a process that asks no other. */
export async function oneRegistry(host: OciHost, clock: Clock): Promise<OciRegistry> {
  const { ociRegistry } = await import("../../shared/registry/oci/oci-registry.ts");
  return ociRegistry({ registries: [host], clock });
}
