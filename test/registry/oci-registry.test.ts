import type { SandboxAuth } from "../../functions/local/sandbox/registry/auth.ts";
import { startSandboxRegistry } from "../../functions/local/sandbox/registry/registry.ts";
import { systemClock } from "../../shared/clock.ts";
import { ociRegistry } from "../../shared/registry/oci/oci-registry.ts";
import { type RegistryUnderTest, registryContract } from "../contracts/registry.ts";
import { pushImage } from "../doubles/image-pusher.ts";

const account = { username: "landfall", password: "p:ss wörd" };
const basic = `Basic ${Buffer.from(`${account.username}:${account.password}`).toString("base64")}`;

async function make(
  auth: SandboxAuth | undefined,
  authorization: (url: string) => Promise<string | undefined>,
): Promise<RegistryUnderTest> {
  const server = await startSandboxRegistry(auth === undefined ? {} : { auth });
  const registry = ociRegistry({
    registries: [
      {
        host: server.host,
        plainHttp: true,
        ...(auth === undefined ? {} : { username: () => account.username, password: () => account.password }),
      },
    ],
    clock: systemClock,
  });
  return {
    registry,
    repository: `${server.host}/acme/web`,
    push: async (tag, image) =>
      pushImage(server.url, "acme/web", tag, image, await authorization(server.url)),
    close: async () => {
      await registry.close();
      await server.stop();
    },
  };
}

async function tokenFor(url: string): Promise<string> {
  const answer = await fetch(`${url}/token?scope=repository:acme/web:pull,push`, {
    headers: { authorization: basic },
  });
  const { token } = (await answer.json()) as { token: string };
  return `Bearer ${token}`;
}

registryContract("an open registry", () => make(undefined, async () => undefined));
registryContract("a registry with basic authentication", () =>
  make({ kind: "basic", ...account }, async () => basic),
);
registryContract("a registry with bearer tokens", () => make({ kind: "bearer", ...account }, tokenFor));
