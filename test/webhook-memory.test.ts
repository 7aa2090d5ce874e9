import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nativeDelivery } from "./deliveries.ts";
import { repeated, sendParts } from "./doubles/sender.ts";

const secret = "correct-horse-battery-staple";
const mebibyte = 1024 * 1024;
const rounds = 5;

let child: ChildProcess;
let port: number;

beforeAll(async () => {
  child = fork(new URL("processes/webhook.ts", import.meta.url), {
    env: { ...process.env, WEBHOOK_SECRET: secret },
    execArgv: ["--expose-gc"],
  });
  port = Number((await heard()).port);
});

afterAll(async () => {
  const gone = once(child, "exit");
  child.disconnect();
  await gone;
});

describe("the webhook's memory", () => {
  it("does not grow with a body that is refused, declared or chunked", async () => {
    const accepted: number[] = [];
    const declared: number[] = [];
    const chunked: number[] = [];
    for (let round = 0; round < rounds; round++) {
      accepted.push(await peakDuring(accept));
      declared.push(await peakDuring(() => refuse(`content-length: ${100 * mebibyte}`, plain)));
      chunked.push(await peakDuring(() => refuse("transfer-encoding: chunked", framed)));
    }
    const limit = median(accepted) + 16 * mebibyte;
    expect(median(accepted)).toBeGreaterThan(mebibyte);
    expect(median(declared)).toBeLessThanOrEqual(limit);
    expect(median(chunked)).toBeLessThanOrEqual(limit);
  }, 120_000);
});

async function accept(): Promise<void> {
  const { path, headers, body } = nativeDelivery(secret);
  const bytes = Buffer.from(body.padEnd(mebibyte, " "));
  expect((await sendParts({ port, path, headers, parts: [bytes], length: bytes.length })).status).toBe(202);
}

/** Sends 100 MiB to the end, whatever is answered meanwhile, and sees the answer all the same. */
async function refuse(framing: string, frame: (part: Buffer) => Buffer): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  const answer: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => answer.push(chunk));
  socket.write(`POST /hooks/native/${secret} HTTP/1.1\r\nhost: x\r\n${framing}\r\n\r\n`);
  for (const part of repeated(100 * mebibyte)) {
    if (!socket.write(frame(part))) await once(socket, "drain");
  }
  socket.end(frame(Buffer.alloc(0)));
  await once(socket, "close");
  expect(Buffer.concat(answer).toString("utf8")).toMatch(/^HTTP\/1\.1 413 /);
}

function plain(part: Buffer): Buffer {
  return part;
}

function framed(part: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from("\r\n")]);
}

async function peakDuring(act: () => Promise<void>): Promise<number> {
  await ask("reset");
  await act();
  return Number((await ask("peak")).peak);
}

async function ask(question: string): Promise<Record<string, unknown>> {
  const answer = heard();
  child.send(question);
  return answer;
}

async function heard(): Promise<Record<string, unknown>> {
  const [message] = (await once(child, "message")) as [Record<string, unknown>];
  return message;
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? Number.NaN;
}
