import { subscribe } from "node:diagnostics_channel";
import type { IncomingMessage } from "node:http";
import type { BodyReading } from "../shared/flows/receive.ts";

export interface BodyLimits {
  readonly maxBodyBytes: number;
  /** From the first read to the last byte. */
  readonly bodyDeadlineMs: number;
}

/** What `content-length` said before it was taken off; present for every request whose body is ours. */
const declaredLengths = new WeakMap<IncomingMessage, string | undefined>();

/**
 * Keeps the Functions Framework's parsers off the bodies of some requests, for all servers of this process: they
 * would read up to 1 GB before the function runs, and answer malformed JSON themselves. They pass over a request
 * that declares no body, so both declarations are taken off before they look. Nothing is answered here: Node may
 * still have to send `100 Continue`.
 * @param owns by the request's URL, as it was received
 */
export function ownBodies(owns: (url: string) => boolean): void {
  subscribe("http.server.request.start", (message) => {
    const { request } = message as { readonly request: IncomingMessage };
    if (declaredLengths.has(request) || !owns(request.url ?? "")) return;
    declaredLengths.set(request, request.headers["content-length"]);
    delete request.headers["content-length"];
    delete request.headers["transfer-encoding"];
  });
}

/** Reads a body that `ownBodies` kept. One that declares itself too long is not read at all, any other up to the cap. */
export function readBody(request: IncomingMessage, limits: BodyLimits): BodyReading | Promise<BodyReading> {
  if (Number(declaredLengths.get(request)) > limits.maxBodyBytes) return { kind: "too-large" };
  return arrivingBody(request, limits);
}

function arrivingBody(
  request: IncomingMessage,
  { maxBodyBytes, bodyDeadlineMs }: BodyLimits,
): Promise<BodyReading> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const timer = setTimeout(() => abandon("too-slow"), bodyDeadlineMs);
    request.on("data", onData).on("end", onEnd).on("error", onGone).on("close", onGone);

    function onData(chunk: Buffer): void {
      size += chunk.length;
      chunks.push(chunk);
      if (size > maxBodyBytes) abandon("too-large");
    }
    function onEnd(): void {
      const bytes = Buffer.concat(chunks, size);
      chunks.forEach(release);
      finish({ kind: "bytes", bytes });
    }
    function onGone(): void {
      abandon("gone");
    }
    function abandon(kind: "too-large" | "too-slow" | "gone"): void {
      chunks.forEach(release);
      finish({ kind });
    }
    function finish(reading: BodyReading): void {
      clearTimeout(timer);
      request.off("data", onData).off("end", onEnd).off("error", onGone).off("close", onGone);
      request.pause();
      resolve(reading);
    }
  });
}

/** Throws away what a sender still sends, until it is done or the time is over. */
export function discardBody(request: IncomingMessage, forMs: number): Promise<void> {
  return new Promise((resolve) => {
    if (request.destroyed) return resolve();
    const timer = setTimeout(done, forMs);
    request.on("data", release).on("end", done).on("error", done).on("close", done).resume();

    function done(): void {
      clearTimeout(timer);
      request.off("data", release).off("end", done).off("close", done).pause();
      resolve();
    }
  });
}

/** Frees a chunk's memory now: left to the collector, tens of MB of it pile up while a large body streams past. */
function release({ buffer, byteLength }: Buffer): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}
