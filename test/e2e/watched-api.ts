import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, createServer, request as httpsRequest } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { testbed } from "./testbed.ts";

const bed = testbed();

/** A call as it was answered by the API server. */
export interface ApiCall {
  readonly method: string;
  /** With its query, decoded. */
  readonly path: string;
  /** The token that it came with. */
  readonly token: string;
  readonly status: number;
}

export interface WatchedApi {
  /** What a target of the configuration is reached by, without name, kind, token and namespaces. */
  readonly access: { readonly server: string; readonly ca: string };
  /** Everything that was answered so far, oldest first. */
  readonly calls: readonly ApiCall[];
  close(): Promise<void>;
}

/** The cluster's API server behind one of our own, with a certificate of its own, that writes every call down. */
export async function watchApi(): Promise<WatchedApi> {
  const folder = await mkdtemp(join(tmpdir(), "landfall-api-"));
  const file = (name: string) => join(folder, name);
  const subject = ["-subj", "/CN=watched", "-addext", "subjectAltName=IP:127.0.0.1"];
  const made = ["-keyout", file("key"), "-out", file("crt")];
  const request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
  await promisify(execFile)("openssl", [...request, ...subject, ...made]);

  const calls: ApiCall[] = [];
  const agent = new Agent({ keepAlive: true, ca: readFileSync(bed.kubeCaFile) });
  const tls = { cert: readFileSync(file("crt")), key: readFileSync(file("key")) };
  const server = createServer(tls, (asked, answer) => {
    const { method = "", url = "", headers } = asked;
    const { host: _, ...passed } = headers;
    const upstream = httpsRequest(`${bed.kubeServer}${url}`, { agent, method, headers: passed });
    upstream.on("response", (answered) => {
      const status = answered.statusCode ?? 502;
      const token = headers.authorization?.replace(/^Bearer /, "") ?? "";
      calls.push({ method, path: decodeURIComponent(url), token, status });
      answer.writeHead(status, answered.headers);
      answered.pipe(answer);
    });
    // Whoever asked sees a connection that breaks, as of an API server that dies.
    upstream.on("error", () => answer.destroy());
    asked.pipe(upstream);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    access: {
      server: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
      ca: `\${file:${file("crt")}}`,
    },
    calls,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      agent.destroy();
      await rm(folder, { recursive: true });
    },
  };
}
