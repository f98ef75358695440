/** A TCP port whose connections can be awaited and cut. */
import { type AddressInfo, createServer, type Socket } from "node:net";
import { messageOf, StartError } from "../errors.ts";
import type { Log } from "../log.ts";
import { guarded } from "./boundary.ts";
import type { ConnectionLimits } from "./connection-limits.ts";

export type Listener = {
  /** `host:port`, with the actual port once it is bound. */
  address(): string;
  /** Binds the port. Rejects with a StartError when it cannot be bound. */
  listen(): Promise<void>;
  /** Accepts no more connections; resolves once the existing ones have ended. Safe when it does not listen. */
  close(): Promise<void>;
  /** Cuts every connection. */
  destroy(): void;
  /** Cuts the connection of this peer, `address:port`. */
  cut(peer: string): void;
};

export type ListenerOptions = {
  /** What is served, and the flag that sets its port, for the error when it cannot be bound. */
  readonly name: string;
  readonly portFlag: string;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Whether a connection stays open for writing when its client has half-closed it. */
  readonly allowHalfOpen: boolean;
  readonly connections: Pick<ConnectionLimits, "admit">;
  /** If it throws, the connection is cut. */
  readonly onConnection: (socket: Socket) => void;
  readonly log: Log;
};

/** The kernel sends a keepalive probe after this many milliseconds without a packet. */
const keepAliveInitialDelay = 20_000;

export function createListener(options: ListenerOptions): Listener {
  const { host, allowHalfOpen, connections, onConnection, log } = options;
  let { port } = options;
  const sockets = new Set<Socket>();
  const keepAlive = { keepAlive: true, keepAliveInitialDelay };
  const cutSocket = (socket: Socket) => void socket.destroy();
  const take = (socket: Socket) => {
    socket.on("error", () => cutSocket(socket)); // a broken connection needs no other action
    if (!connections.admit(socket)) return cutSocket(socket);
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    onConnection(socket);
  };
  const onSocket = guarded(log, "a connection's handler", take, cutSocket);
  const server = createServer({ noDelay: true, allowHalfOpen, ...keepAlive }, onSocket);
  const address = () => `${host.includes(":") ? `[${host}]` : host}:${port}`;
  return {
    address,
    listen: () =>
      new Promise((resolve, reject) => {
        const refuse = (error: Error) => {
          const what = `${options.name} cannot listen on ${address()}: ${messageOf(error)}`;
          const text = `${what}: is another server running? Choose another with ${options.portFlag}`;
          reject(new StartError(text, { cause: error }));
        };
        server.once("error", refuse);
        server.listen(port, host, () => {
          server.off("error", refuse);
          // a connection that cannot be accepted, such as for lack of file descriptors, must not end the others
          server.on("error", (error) => log.warn({ error: messageOf(error) }, "a connection could not be accepted"));
          ({ port } = server.address() as AddressInfo);
          resolve();
        });
      }),
    close: () =>
      new Promise((resolve) => {
        if (server.listening) server.close(() => resolve());
        else resolve();
      }),
    destroy() {
      for (const socket of sockets) socket.destroy();
    },
    cut(peer) {
      for (const socket of sockets) {
        if (`${socket.remoteAddress}:${socket.remotePort}` === peer) socket.destroy();
      }
    },
  };
}
