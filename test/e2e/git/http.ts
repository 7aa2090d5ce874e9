import { spawn } from "node:child_process";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gitEnvironment } from "./repository.ts";

/** One request as the server saw it. */
export interface SeenRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly authorization: string | undefined;
  /** What was sent of the body. */
  bytes: number;
}

export interface GitServer {
  /** `http://127.0.0.1:<port>` */
  readonly origin: string;
  readonly seen: readonly SeenRequest[];
  close(): Promise<void>;
}

export interface GitServerOptions {
  /** The `Authorization` that is asked for; without it nobody is. */
  readonly authorization?: string;
  /** Default: any free one. */
  readonly port?: number;
  /** Where requests are written down; default: a list of its own. */
  readonly seen?: SeenRequest[];
}

/** Serves the bare repositories of a folder by `git http-backend`, as a web server with CGI does. */
export async function serveGit(folder: string, options: GitServerOptions = {}): Promise<GitServer> {
  const { seen = [], port = 0 } = options;
  const server = createServer((request, response) => {
    const record = {
      method: request.method ?? "",
      path: request.url ?? "",
      authorization: request.headers.authorization,
      bytes: 0,
    };
    seen.push(record);
    if (options.authorization !== undefined && request.headers.authorization !== options.authorization) {
      response.writeHead(401, { "www-authenticate": 'Basic realm="git"' }).end();
      return;
    }
    backend(folder, request, response, (bytes) => {
      record.bytes += bytes;
    });
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error === undefined ? resolve() : reject(error)));
        server.closeAllConnections();
      }),
  };
}

function backend(
  folder: string,
  request: IncomingMessage,
  response: ServerResponse,
  sent: (bytes: number) => void,
): void {
  const { pathname, search } = new URL(request.url ?? "/", "http://local");
  const child = spawn("git", ["http-backend"], {
    env: {
      ...gitEnvironment(),
      GIT_PROJECT_ROOT: folder,
      GIT_HTTP_EXPORT_ALL: "1",
      PATH_INFO: withGit(pathname),
      QUERY_STRING: search.slice(1),
      REQUEST_METHOD: request.method ?? "GET",
      CONTENT_TYPE: request.headers["content-type"] ?? "",
      GIT_PROTOCOL: String(request.headers["git-protocol"] ?? ""),
      REMOTE_ADDR: "127.0.0.1",
    },
    stdio: ["pipe", "pipe", "ignore"],
  });
  child.on("error", () => response.destroy());
  // A client that has heard enough hangs up, and so may git while the request still comes.
  child.stdin.on("error", () => undefined);
  request.pipe(child.stdin);
  response.on("close", () => child.kill());

  let head: Buffer | undefined = Buffer.alloc(0);
  child.stdout.on("data", (piece: Buffer) => {
    let body = piece;
    if (head !== undefined) {
      head = Buffer.concat([head, piece]);
      const end = head.indexOf("\r\n\r\n");
      if (end < 0) return;
      startAnswer(response, head.subarray(0, end).toString("latin1"));
      body = head.subarray(end + 4);
      head = undefined;
    }
    sent(body.length);
    if (!response.write(body)) {
      child.stdout.pause();
      response.once("drain", () => child.stdout.resume());
    }
  });
  child.stdout.on("end", () => {
    if (head === undefined) response.end();
    else response.destroy();
  });
}

/** Hosts take `…/web` and `…/web.git` for one repository; git itself only the folder's name. */
function withGit(path: string): string {
  return path.replace(/^\/([^/]+?)(?:\.git)?\/+(info\/refs|git-upload-pack)$/, "/$1.git/$2");
}

function startAnswer(response: ServerResponse, head: string): void {
  let status = 200;
  for (const line of head.split("\r\n")) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (name === "status") status = Number.parseInt(value, 10);
    else response.setHeader(name, value);
  }
  response.writeHead(status);
}
