/** How many connections there may be, on all ports together: in all, and from one address. */
import { BlockList, isIPv6, type Socket } from "node:net";

export type ConnectionLimits = {
  /** Whether this connection may stay; then it counts until it closes. */
  admit(socket: Socket): boolean;
};

export type ConnectionLimitsOptions = {
  readonly connections: number;
  /** Not for addresses of loopback, which everybody on this machine shares. */
  readonly connectionsPerAddress: number;
  /** Called for each connection beyond a limit. */
  readonly onRefused: (limit: "connections" | "connectionsPerAddress") => void;
};

export function createConnectionLimits(options: ConnectionLimitsOptions): ConnectionLimits {
  const { connections, connectionsPerAddress, onRefused } = options;
  const loopback = new BlockList();
  loopback.addSubnet("127.0.0.0", 8, "ipv4");
  loopback.addAddress("::1", "ipv6");
  const openByAddress = new Map<string, number>();
  let open = 0;

  /** IPv4 addresses on an IPv6 socket count as what they are: the list knows `::ffff:127.0.0.1` as well. */
  const isLoopback = (address: string) => loopback.check(address, isIPv6(address) ? "ipv6" : "ipv4");

  function leave(address: string): void {
    open -= 1;
    const left = (openByAddress.get(address) ?? 0) - 1;
    if (left > 0) openByAddress.set(address, left);
    else openByAddress.delete(address);
  }

  return {
    admit(socket) {
      const { remoteAddress: address } = socket;
      if (address === undefined) return false; // it is closed already
      const openHere = openByAddress.get(address) ?? 0;
      const isOver = open >= connections;
      if (isOver || (openHere >= connectionsPerAddress && !isLoopback(address))) {
        onRefused(isOver ? "connections" : "connectionsPerAddress");
        return false;
      }
      open += 1;
      openByAddress.set(address, openHere + 1);
      socket.once("close", () => leave(address));
      return true;
    },
  };
}
