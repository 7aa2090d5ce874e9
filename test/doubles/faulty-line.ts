import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** What stands between a process and a server, whatever they speak: the line can be cut, or go silent. */
export interface FaultyLine {
  /** Host and port. */
  readonly host: string;
  /** Connections break, and new ones are refused. */
  refuse(): Promise<void>;
  /** Connections stay, new ones are taken, and nothing passes in either direction. */
  hang(): void;
  /** As before; what was held back passes now, however late. */
  mend(): Promise<void>;
  close(): Promise<void>;
}

/** @param to host and port of the server */
export async function faultyLine(to: string): Promise<FaultyLine> {
  const { hostname, port: toPort } = new URL(`http://${to}`);
  const sockets = new Set<Socket>();
  let isSilent = false;

  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    if (isSilent) socket.pause();
  };
  const listen = async (port: number): Promise<Server> => {
    const made = createServer({ pauseOnConnect: true }, (near) => {
      const far = connect(Number(toPort), hostname);
      for (const [from, into] of [
        [near, far],
        [far, near],
      ] as const) {
        from.on("data", (bytes) => into.write(bytes));
        from.on("end", () => into.end());
        from.on("close", () => into.destroy());
        keep(from);
      }
      if (!isSilent) near.resume();
    }).listen(port, "127.0.0.1");
    await once(made, "listening");
    return made;
  };

  let server = await listen(0);
  const { port } = server.address() as AddressInfo;
  const refuse = async () => {
    const closed = once(server, "close");
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return {
    host: `127.0.0.1:${port}`,
    refuse,
    hang: () => {
      isSilent = true;
      for (const socket of sockets) socket.pause();
    },
    mend: async () => {
      isSilent = false;
      for (const socket of sockets) socket.resume();
      if (!server.listening) server = await listen(port);
    },
    close: async () => {
      if (server.listening) await refuse();
    },
  };
}
