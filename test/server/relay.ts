/** A port of the test's own that leads to one server after another, so that a restarted one is found at its old address. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export type Relay = {
  readonly address: string;
  /** From now on new connections go to this address. */
  leadTo(address: string): void;
  close(): Promise<void>;
};

/** While nothing listens at the other end, connections are closed as soon as they are made. */
export async function openRelay(address: string): Promise<Relay> {
  let target = address;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const [host, port] = target.split(":") as [string, string];
    const far = connect(Number(port), host);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.pipe(other);
      socket.on("error", () => undefined); // what broke closes, and that is passed on
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    leadTo(address) {
      target = address;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
