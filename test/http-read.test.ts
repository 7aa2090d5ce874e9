import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { type HttpClient, httpClient } from "../shared/http.ts";

const open: { server: Server; client: HttpClient }[] = [];

async function serving(listener: RequestListener) {
  const server = createServer(listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = httpClient();
  open.push({ server, client });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const ask = (read: (piece: Buffer) => "more" | "enough", maxBytes = 1_000_000) =>
    client.request({ method: "GET", url, deadlineMs: 10_000, maxBytes, read });
  return { server, ask };
}

afterEach(async () => {
  for (const { server, client } of open.splice(0)) {
    await client.close();
    server.closeAllConnections();
    server.close();
  }
});

describe("a body that is read piece by piece", () => {
  it("comes in order and whole, and is not kept", async () => {
    const { ask } = await serving((_, response) => {
      response.write("one ");
      setImmediate(() => response.end("two"));
    });
    let text = "";
    const answer = await ask((piece) => {
      text += piece.toString();
      return "more";
    });
    expect({ text, status: answer.status, kept: answer.body.length }).toEqual({
      text: "one two",
      status: 200,
      kept: 0,
    });
  });

  it("ends where the reader has enough: the other side sees the connection go, and the next call works", async () => {
    let gone: Promise<unknown> | undefined;
    const { ask } = await serving((_, response) => {
      gone ??= once(response, "close");
      const write = () => {
        if (!response.destroyed) response.write(Buffer.alloc(65_536), write);
      };
      write();
    });
    let pieces = 0;
    const read = () => {
      pieces += 1;
      return pieces % 3 === 0 ? ("enough" as const) : ("more" as const);
    };
    await expect(ask(read, 100_000_000)).resolves.toMatchObject({ status: 200 });
    expect(pieces).toBe(3);
    await gone;
    await expect(ask(read, 100_000_000)).resolves.toMatchObject({ status: 200 });
    expect(pieces).toBe(6);
  });

  it("is kept all the same where the status is not 200", async () => {
    const { ask } = await serving((_, response) => response.writeHead(404).end("no such thing"));
    const answer = await ask(() => {
      throw new Error("never read");
    });
    expect({ status: answer.status, text: answer.body.toString() }).toEqual({
      status: 404,
      text: "no such thing",
    });
  });

  it("is refused where it grows longer than allowed", async () => {
    const { ask } = await serving((_, response) => response.end(Buffer.alloc(300_000)));
    await expect(ask(() => "more", 100_000)).rejects.toMatchObject({ kind: "too-large" });
  });
});
