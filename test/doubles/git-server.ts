import type { Answer } from "../../functions/local/sandbox/registry/faults.ts";
import type { CommitGraph, LoggedCommit } from "./commit-graph.ts";
import { type GitHostServer, gitHostServer, type HostCall } from "./git-host-server.ts";
import { type PackedObject, writePack } from "./pack-writer.ts";

export interface GitServer extends GitHostServer {
  /** Serves the graph as `/<name>` and `/<name>.git`. */
  add(name: string, graph: CommitGraph): void;
}

export interface GitServerOptions {
  /** The `Authorization` that is asked for; without it nobody is. */
  readonly authorization?: string;
  /** What it says it can do; default is what git 2.39 says with `uploadpack.allowFilter`. */
  readonly advertisement?: readonly string[];
  /** The first line of answers to a fetch in a copy that is cut off. */
  readonly shallow?: boolean;
  /** Default: `upload-pack: not our ref <id>`. */
  readonly unknown?: (id: string) => string;
}

const defaultAdvertisement = [
  "version 2",
  "agent=git/2.39.5",
  "ls-refs=unborn",
  "fetch=shallow wait-for-done filter",
  "server-option",
  "object-format=sha1",
];

/** Git's smart HTTP protocol, version 2, over graphs in memory: `ls-refs`, and `fetch` with `done` and `filter tree:0`. */
export async function gitServer(options: GitServerOptions = {}): Promise<GitServer> {
  const graphs = new Map<string, CommitGraph>();
  const advertisement = options.advertisement ?? defaultAdvertisement;

  const answer = async (call: HostCall): Promise<Answer> => {
    if (options.authorization !== undefined && call.header("authorization") !== options.authorization) {
      return { status: 401, headers: { "www-authenticate": 'Basic realm="git"' }, body: Buffer.from("no") };
    }
    const [, name = "", what] =
      /^\/(.+?)(?:\.git)?\/(info\/refs|git-upload-pack)$/.exec(call.url.pathname) ?? [];
    const graph = graphs.get(name);
    if (graph === undefined) return { status: 404, headers: {}, body: Buffer.from("Not Found") };
    if (call.header("git-protocol") !== "version=2") return of("advertisement", oldAdvertisement());
    if (what === "info/refs") return of("advertisement", `${advertisement.map(line).join("")}0000`);
    const { command, args } = requestOf(await call.body());
    return command === "ls-refs"
      ? of("result", `${await refLines(graph, args)}0000`)
      : fetched(graph, args, options);
  };

  const server = await gitHostServer(answer);
  return Object.assign(server, {
    add: (name: string, graph: CommitGraph) => void graphs.set(name, graph),
  });
}

/** What servers say that speak an older version, or whose web server does not pass the header on. */
export function oldAdvertisement(): string {
  const capabilities = "multi_ack side-band-64k ofs-delta agent=git/2.17.0";
  return `${line("# service=git-upload-pack")}0000${line(`${"1".repeat(40)} refs/heads/main\0${capabilities}`)}0000`;
}

async function refLines(graph: CommitGraph, args: readonly string[]): Promise<string> {
  const prefix = args
    .find((arg) => arg.startsWith("ref-prefix refs/heads/"))
    ?.slice("ref-prefix refs/heads/".length);
  const names = [prefix ?? "", `${prefix}-2`];
  const tips = await Promise.all(names.map(async (name) => ({ name, tip: await graph.tip(name) })));
  return tips
    .toReversed()
    .flatMap(({ name, tip }) => (tip === undefined ? [] : [line(`${tip} refs/heads/${name}`)]))
    .join("");
}

async function fetched(
  graph: CommitGraph,
  args: readonly string[],
  options: GitServerOptions,
): Promise<Answer> {
  const argument = (key: string) =>
    args.find((arg) => arg.startsWith(`${key} `))?.slice(key.length + 1) ?? "";
  if (!args.includes("done")) return { status: 400, headers: {}, body: Buffer.from("no negotiation here") };
  const want = argument("want");
  const have = argument("have");
  if (!(await graph.has(want))) {
    return of("result", line(`ERR ${options.unknown?.(want) ?? `upload-pack: not our ref ${want}`}`));
  }
  const commits = await graph.log((await graph.has(have)) ? have : undefined, want);
  const objects: PackedObject[] = commits.map((commit) => ({ type: "commit", content: textOf(commit) }));
  if (!args.includes("filter tree:0")) {
    objects.push(...commits.map((): PackedObject => ({ type: "tree", content: Buffer.alloc(0) })));
  }
  return of(
    "result",
    Buffer.concat([
      Buffer.from(options.shallow === true ? `${line("shallow-info")}0001` : ""),
      Buffer.from(line("packfile")),
      sideBand(2, Buffer.from("Enumerating objects\n")),
      ...inPieces(writePack(objects)).map((piece) => sideBand(1, piece)),
      Buffer.from("0000"),
    ]),
  );
}

function textOf({ tree, parents, atS, message }: LoggedCommit): Buffer {
  const person = `Ada <ada@example.com> ${atS} +0000`;
  const lines = [`tree ${tree}`, ...parents.map((parent) => `parent ${parent}`), `author ${person}`];
  return Buffer.from(`${[...lines, `committer ${person}`].join("\n")}\n\n${message}\n`);
}

function inPieces(bytes: Buffer): readonly Buffer[] {
  const most = 8_000;
  return Array.from({ length: Math.ceil(bytes.length / most) }, (_, index) =>
    bytes.subarray(index * most, (index + 1) * most),
  );
}

function sideBand(band: number, data: Buffer): Buffer {
  return Buffer.concat([Buffer.from(lengthOf(data.length + 1)), Buffer.from([band]), data]);
}

function line(text: string): string {
  return `${lengthOf(Buffer.byteLength(text) + 1)}${text}\n`;
}

function lengthOf(bytes: number): string {
  return (bytes + 4).toString(16).padStart(4, "0");
}

function of(kind: "advertisement" | "result", body: string | Buffer): Answer {
  return {
    status: 200,
    headers: { "content-type": `application/x-git-upload-pack-${kind}`, "cache-control": "no-cache" },
    body: typeof body === "string" ? Buffer.from(body) : body,
  };
}

function requestOf(body: Buffer): { readonly command: string; readonly args: readonly string[] } {
  const lines: string[] = [];
  for (let at = 0; at < body.length; ) {
    const length = Number.parseInt(body.toString("latin1", at, at + 4), 16);
    if (length >= 4) lines.push(body.toString("utf8", at + 4, at + length).trimEnd());
    at += Math.max(length, 4);
  }
  const [command = "", ...args] = lines;
  return { command: command.replace("command=", ""), args };
}
