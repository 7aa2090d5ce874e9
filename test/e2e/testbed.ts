import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Digest } from "../../shared/domain/reference.ts";
import type { Platform } from "../../shared/domain/workload.ts";

const run = promisify(execFile);
const schema2 = "application/vnd.docker.distribution.manifest.v2+json";
const manifestList = "application/vnd.docker.distribution.manifest.list.v2+json";

interface ImageManifest {
  readonly config: { readonly mediaType: string; readonly digest: string };
  readonly layers: readonly { readonly digest: string }[];
}

interface ImageConfig {
  readonly config: { readonly Labels?: Readonly<Record<string, string>> };
}

interface RegistryAddress {
  readonly api: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** What a test image does when it runs: by default it runs for ever. */
export interface ImageBehaviour {
  /** The container's command, run by busybox, e.g. `["sh", "-c", "exit 3"]`. */
  readonly cmd?: readonly string[];
  /** In place of busybox. */
  readonly entrypoint?: readonly string[];
  /** Variables of the image itself, e.g. `VERSION=2`. */
  readonly env?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly os?: string;
  readonly architecture?: string;
  /** The registry that it goes to, default the open one. */
  readonly on?: "open" | "protected";
}

/**
 * The real systems that the end-to-end tests run against, from the environment.
 * Each part is asked for only when it is used; an absent one throws an error that says what to set.
 */
export function testbed() {
  const bed = {
    /** Open registry, `host:port`, plain HTTP. */
    get registry() {
      return variable("TESTBED_REGISTRY");
    },
    /** Registry with basic authentication (landfall / landfall-secret), `host:port`, plain HTTP. */
    get registryAuth() {
      return variable("TESTBED_REGISTRY_AUTH");
    },
    /** File with the open registry's access log, one line a request. */
    get registryLog() {
      return variable("TESTBED_REGISTRY_LOG");
    },
    /** Where the open registry reports pushes: Landfall's own address, with the secret in its path. */
    get notifyUrl() {
      return variable(
        "TESTBED_NOTIFY_URL",
        "set it to e.g. http://127.0.0.1:18480/hooks/distribution/<a secret of 16 bytes or more>, and start the testbed's open registry with REGISTRY_NOTIFY_URL set to the same URL, so that it reports its pushes there",
      );
    },
    get baseImage() {
      return variable("TESTBED_BASE_IMAGE");
    },
    /** `unix:///…` of a Docker engine that is a Swarm manager. */
    get dockerHost() {
      return variable("TESTBED_DOCKER_HOST");
    },
    /** `tcp://host:port` of the same engine, with client certificates. */
    get dockerTlsHost() {
      return variable("TESTBED_DOCKER_TLS_HOST");
    },
    /** Folder of `ca.pem`, `cert.pem`, `key.pem`. */
    get dockerCertPath() {
      return variable("TESTBED_DOCKER_CERT_PATH");
    },
    /** A kubeconfig of a cluster's administrator, to set a test up with. */
    get kubeconfig() {
      return variable("TESTBED_KUBECONFIG");
    },
    /** `https://host:port` of the same cluster's API server. */
    get kubeServer() {
      return variable("TESTBED_KUBE_SERVER");
    },
    /** PEM file of the authority that signed its certificate. */
    get kubeCaFile() {
      return variable("TESTBED_KUBE_CA_FILE");
    },
    /** A token of the user `landfall`, who has the rights that tests give him. */
    get kubeToken() {
      return variable("TESTBED_KUBE_TOKEN");
    },
    /** A token of the user `stranger`, who has no rights. */
    get kubeStrangerToken() {
      return variable("TESTBED_KUBE_STRANGER_TOKEN");
    },

    /** Runs the docker command line against the testbed's engine; what it prints, trimmed. */
    async docker(...args: readonly string[]): Promise<string> {
      const { stdout } = await run("docker", ["-H", bed.dockerHost, ...args], { maxBuffer: 64 << 20 });
      return stdout.trim();
    },

    /** Runs kubectl as the cluster's administrator; what it prints, trimmed. */
    async kubectl(...args: readonly string[]): Promise<string> {
      const { stdout } = await run("kubectl", ["--kubeconfig", bed.kubeconfig, ...args], {
        maxBuffer: 64 << 20,
      });
      return stdout.trim();
    },

    /** `kubectl apply` of the text of a manifest, with more arguments before it. */
    async kubectlApply(manifest: string, ...args: readonly string[]): Promise<string> {
      const applying = run("kubectl", ["--kubeconfig", bed.kubeconfig, ...args, "apply", "-f", "-"]);
      applying.child.stdin?.end(manifest);
      return (await applying).stdout.trim();
    },

    /** Creates a service on the host's network as the command line does (tag resolved, platforms set). */
    async createService(name: string, image: string, ...options: readonly string[]): Promise<void> {
      const fast = ["--detach", "--network", "host", "--stop-grace-period", "1s"];
      await bed.docker("service", "create", "--name", name, ...fast, ...options, image);
    },

    async inspectService(name: string): Promise<unknown> {
      return JSON.parse(await bed.docker("service", "inspect", name))[0];
    },

    /** Removes every service whose name starts so. */
    async removeServices(prefix: string): Promise<void> {
      const names = await bed.docker("service", "ls", "--filter", `name=${prefix}`, "--format", "{{.Name}}");
      if (names !== "") await bed.docker("service", "rm", ...names.split("\n"));
    },

    /**
     * Pushes a copy of the base image under another name and configuration, over HTTP: no daemon, a few ms.
     * @param repository path on that registry, e.g. `acme/web`
     */
    async pushImage(repository: string, tag: string, behaviour: ImageBehaviour = {}): Promise<Digest> {
      const { os = "linux", architecture = "amd64", cmd, entrypoint, env, labels, on = "open" } = behaviour;
      const [, base = "", baseTag = ""] = /^[^/]+\/(.+):([^:]+)$/.exec(bed.baseImage) ?? [];
      const from = `http://${bed.registry}/v2/${base}`;
      const manifest = (await (
        await answered(`${from}/manifests/${baseTag}`, { headers: { accept: schema2 } })
      ).json()) as ImageManifest;
      const config = (await (
        await answered(`${from}/blobs/${manifest.config.digest}`)
      ).json()) as ImageConfig;
      const changed = Buffer.from(
        JSON.stringify({
          ...config,
          os,
          architecture,
          config: {
            ...config.config,
            ...(cmd === undefined ? {} : { Cmd: cmd }),
            ...(entrypoint === undefined ? {} : { Entrypoint: entrypoint }),
            ...(env === undefined ? {} : { Env: env }),
            Labels: { ...config.config.Labels, ...labels },
          },
        }),
      );
      const to = registryOf(on);
      for (const { digest } of manifest.layers) {
        await upload(to, repository, digest, base, async () => {
          const layer = await answered(`${from}/blobs/${digest}`);
          return new Uint8Array(await layer.arrayBuffer());
        });
      }
      await upload(to, repository, digestOf(changed), undefined, async () => changed);
      const renamed = { ...manifest.config, size: changed.length, digest: digestOf(changed) };
      return bed.pushManifest(repository, tag, schema2, { ...manifest, config: renamed }, on);
    },

    /** Pushes an index with an image for each platform; all of them run where the base image runs. */
    async pushIndex(
      repository: string,
      tag: string,
      platforms: readonly Platform[],
      behaviour: Omit<ImageBehaviour, "os" | "architecture"> = {},
    ): Promise<Digest> {
      const { on = "open" } = behaviour;
      const { api, headers } = registryOf(on);
      const manifests: object[] = [];
      for (const platform of platforms) {
        const { os, architecture } = platform;
        const digest = await bed.pushImage(repository, `${tag}-child`, { ...behaviour, os, architecture });
        const asked = { method: "HEAD", headers: { ...headers, accept: schema2 } };
        const head = await answered(`${api}/${repository}/manifests/${digest}`, asked);
        const size = Number(head.headers.get("content-length"));
        manifests.push({ mediaType: schema2, digest, size, platform });
      }
      const index = { schemaVersion: 2, mediaType: manifestList, manifests };
      return bed.pushManifest(repository, tag, manifestList, index, on);
    },

    /**
     * Builds an image whose file `/content` says so, and pushes it with `docker push`.
     * @param image `host/repository:tag`
     */
    async buildAndPush(image: string, content: string): Promise<void> {
      const folder = await mkdtemp(join(tmpdir(), "landfall-build-"));
      await writeFile(join(folder, "content"), content);
      await writeFile(join(folder, "Dockerfile"), `FROM ${bed.baseImage}\nCOPY content /content\n`);
      // The classic builder: the other one is a plugin that may not be there.
      const env = { ...process.env, DOCKER_BUILDKIT: "0" };
      await run("docker", ["-H", bed.dockerHost, "build", "--quiet", "--tag", image, folder], { env });
      await bed.docker("push", "--quiet", image);
      await rm(folder, { recursive: true });
    },

    /** PUTs a manifest or index as it is. */
    async pushManifest(
      repository: string,
      tag: string,
      mediaType: string,
      manifest: object,
      on: "open" | "protected" = "open",
    ): Promise<Digest> {
      const { api, headers } = registryOf(on);
      const bytes = Buffer.from(JSON.stringify(manifest));
      await answered(`${api}/${repository}/manifests/${tag}`, {
        method: "PUT",
        headers: { ...headers, "content-type": mediaType },
        body: bytes,
      });
      return digestOf(bytes);
    },

    /** Deletes a manifest from the open registry: as good as gone for whoever has not pulled it yet. */
    async deleteManifest(repository: string, digest: Digest): Promise<void> {
      await answered(`http://${bed.registry}/v2/${repository}/manifests/${digest}`, { method: "DELETE" });
    },
  };

  function registryOf(on: "open" | "protected"): RegistryAddress {
    if (on === "open") return { api: `http://${bed.registry}/v2`, headers: {} };
    const basic = Buffer.from("landfall:landfall-secret").toString("base64");
    return { api: `http://${bed.registryAuth}/v2`, headers: { authorization: `Basic ${basic}` } };
  }
  return bed;
}

function variable(
  name: string,
  what = 'the end-to-end tests need the testbed. Start it and export its environment, e.g. eval "$(testbed env)"',
): string {
  const value = process.env[name];
  if (value === undefined || value === "") throw new Error(`${name} is not set: ${what}`);
  return value;
}

async function answered(url: string, init?: RequestInit): Promise<Response> {
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(`${init?.method ?? "GET"} ${url}: ${response.status}`);
  return response;
}

/** Brings a blob to a repository: mounted from another one of the same registry where that works, else sent. */
async function upload(
  { api, headers }: RegistryAddress,
  repository: string,
  digest: string,
  from: string | undefined,
  bytes: () => Promise<Uint8Array<ArrayBuffer>>,
): Promise<void> {
  const mount = from === undefined ? "" : `?mount=${digest}&from=${from}`;
  const begun = await answered(`${api}/${repository}/blobs/uploads/${mount}`, { method: "POST", headers });
  if (begun.status === 201) return;
  const location = new URL(begun.headers.get("location") ?? "", api);
  location.searchParams.set("digest", digest);
  await answered(location.href, { method: "PUT", headers, body: await bytes() });
}

function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
