/** How many connections there may be, on all ports together: in all, and from one address. */
import { BlockList, isIPv6, type Socket } from "node:net";

export type ConnectionLimits = {
  /** Whether this connection may stay; then it counts until it closes. */
  admit(socket: Socket): boolean;
  /** Connections that are open now. */
  open(): number;
};

export type ConnectionLimitsOptions = {
  readonly connections: number;
  /** Of IPv6: from one network of 64 bits. Not for addresses of loopback, which everybody on this machine shares. */
  readonly connectionsPerAddress: number;
  /** Called for each connection beyond a limit. */
  readonly onRefused: (limit: "connections" | "connectionsPerAddress") => void;
};

export function createConnectionLimits(options: ConnectionLimitsOptions): ConnectionLimits {
  const { connections, connectionsPerAddress, onRefused } = options;
  const loopback = new BlockList();
  loopback.addSubnet("127.0.0.0", 8, "ipv4");
  loopback.addAddress("::1", "ipv6");
  const openByNetwork = new Map<string, number>();
  let open = 0;

  /** IPv4 addresses on an IPv6 socket count as what they are: the list knows `::ffff:127.0.0.1` as well. */
  const isLoopback = (address: string) => loopback.check(address, isIPv6(address) ? "ipv6" : "ipv4");

  function leave(network: string): void {
    open -= 1;
    const left = (openByNetwork.get(network) ?? 0) - 1;
    if (left > 0) openByNetwork.set(network, left);
    else openByNetwork.delete(network);
  }

  return {
    open: () => open,
    admit(socket) {
      const { remoteAddress: address } = socket;
      if (address === undefined) return false; // it is closed already
      const network = networkOf(address);
      const openHere = openByNetwork.get(network) ?? 0;
      const isOver = open >= connections;
      if (isOver || (openHere >= connectionsPerAddress && !isLoopback(address))) {
        onRefused(isOver ? "connections" : "connectionsPerAddress");
        return false;
      }
      open += 1;
      openByNetwork.set(network, openHere + 1);
      socket.once("close", () => leave(network));
      return true;
    },
  };
}

const mappedPrefix = "::ffff:";
const groups = 8;
const networkGroups = 4;

/**
 * What counts as one address: an address of IPv4, also on an IPv6 socket; of IPv6 the first 64 bits, for a host chooses the
 * rest itself (RFC 4291 §2.5.4) and would never come to a limit.
 */
function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  if (address.startsWith(mappedPrefix) && address.includes(".")) return address.slice(mappedPrefix.length);
  const [head = [], tail = []] = address.split("::").map((part) => part.split(":").filter(Boolean));
  const zeros = Array<string>(Math.max(groups - head.length - tail.length, 0)).fill("0");
  return [...head, ...zeros, ...tail].slice(0, networkGroups).join(":");
}
