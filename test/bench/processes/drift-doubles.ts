import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { deploymentJson, digestOf, imageOf, serviceJson } from "../drift-answers.ts";

/** What the doubles were asked since the last time that somebody wanted to know. */
export interface Counts {
  readonly heads: number;
  /** Lists of targets; pages of one are one list. */
  readonly lists: number;
  readonly pages: number;
  readonly largestBytes: number;
}

export type DoublesWord =
  | { readonly kind: "listening"; readonly registry: string; readonly targets: readonly string[] }
  | { readonly kind: "counts"; readonly counts: Counts };

/** WORKLOADS REFERENCES, forked: a registry, two Swarms and two clusters, each with a quarter of the workloads. */
const [workloads = 0, references = 1] = process.argv.slice(2).map(Number);
const own = workloads / 4;
const nothing: Counts = { heads: 0, lists: 0, pages: 0, largestBytes: 0 };
let counts = { ...nothing };

const registry = await listening(async (request, response) => {
  const [, reference] = /^\/v2\/bench\/r(\d+)\/manifests\/v1$/.exec(request.url ?? "") ?? [];
  if (request.method === "HEAD") counts = { ...counts, heads: counts.heads + 1 };
  response.writeHead(reference === undefined ? 404 : 200, {
    "content-type": "application/vnd.oci.image.index.v1+json",
    "docker-content-digest": digestOf(Number(reference)),
  });
  response.end();
});
const image = (target: number, n: number) => imageOf(registry, (target * own + n) % references);

const swarm = (target: number) => async (request: IncomingMessage, response: ServerResponse) => {
  if (request.url === "/_ping") {
    response.writeHead(200, { "api-version": "1.47" });
    return void response.end("OK");
  }
  response.writeHead(200, { "content-type": "application/json" });
  const items = function* () {
    for (let n = 0; n < own; n++) yield serviceJson(`service-${target}-${n}`, image(target, n));
  };
  await send(response, "[", items(), "]\n");
};

const cluster = (target: number) => async (request: IncomingMessage, response: ServerResponse) => {
  const { pathname, searchParams } = new URL(request.url ?? "", "http://cluster");
  const from = Number(searchParams.get("continue") ?? 0);
  const to = Math.min(own, from + Number(searchParams.get("limit") ?? own));
  const isFull = pathname.endsWith("/deployments");
  const items = function* () {
    for (let n = from; isFull && n < to; n++)
      yield deploymentJson(`deployment-${target}-${n}`, image(target, n));
  };
  response.writeHead(200, { "content-type": "application/json" });
  const next = isFull && to < own ? `"continue":"${to}"` : "";
  await send(response, `{"metadata":{${next}},"items":[`, items(), "]}", from > 0);
};

async function send(
  response: ServerResponse,
  head: string,
  items: Iterable<string>,
  tail: string,
  isMore = false,
): Promise<void> {
  let bytes = head.length + tail.length;
  let part = head;
  let separator = "";
  for (const item of items) {
    part += separator + item;
    separator = ",";
    if (part.length < 1 << 18) continue;
    bytes += part.length;
    if (!response.write(part)) await new Promise((resolve) => response.once("drain", resolve));
    part = "";
  }
  response.end(part + tail);
  counts = {
    ...counts,
    lists: counts.lists + (isMore ? 0 : 1),
    pages: counts.pages + 1,
    largestBytes: Math.max(counts.largestBytes, bytes + part.length),
  };
}

async function listening(
  answer: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Promise<string> {
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const say = (word: DoublesWord) => void process.send?.(word);
const targets = await Promise.all([swarm(0), swarm(1), cluster(2), cluster(3)].map(listening));
say({ kind: "listening", registry, targets });
process.on("message", () => {
  say({ kind: "counts", counts });
  counts = { ...nothing };
});
process.on("disconnect", () => process.exit(0));
