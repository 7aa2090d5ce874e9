import { once } from "node:events";
import { type AddressInfo, connect, createServer, type NetConnectOpts, type Socket } from "node:net";

/** A way to a server that can be shut: then connections are refused, and those that are open break. */
export interface Gate {
  /** On 127.0.0.1; the same for as long as it is there. */
  readonly port: number;
  shut(): Promise<void>;
  open(): Promise<void>;
  close(): Promise<void>;
}

export async function gateTo(server: NetConnectOpts): Promise<Gate> {
  const sockets = new Set<Socket>();
  const gate = createServer((inner) => {
    const outer = connect(server);
    for (const [from, to] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      sockets.add(from);
      from.pipe(to);
      from.on("error", () => to.destroy());
      from.on("close", () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  const listen = async (port: number) => {
    gate.listen(port, "127.0.0.1");
    await once(gate, "listening");
  };
  const shut = async () => {
    if (!gate.listening) return;
    const closed = once(gate, "close");
    gate.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  await listen(0);
  const { port } = gate.address() as AddressInfo;
  return { port, shut, open: () => listen(port), close: shut };
}
