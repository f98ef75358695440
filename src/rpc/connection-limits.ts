/** Limits on connections over all ports: in total, and per address. */
import { BlockList, isIPv6, type Socket } from "node:net";

export type ConnectionLimits = {
  /** Whether this connection may stay; if so, it counts until it closes. */
  admit(socket: Socket): boolean;
  /** Connections that are open now. */
  open(): number;
};

export type ConnectionLimitsOptions = {
  readonly connections: number;
  /** For IPv6, per /64 network. Does not apply to loopback addresses, which all local clients share. */
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

  /** The list also matches IPv4 addresses on an IPv6 socket, such as `::ffff:127.0.0.1`. */
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
      if (address === undefined) return false; // the socket is closed already
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
 * What counts as one address: an IPv4 address, even on an IPv6 socket; for IPv6 the first 64 bits, because a host
 * chooses the others itself (RFC 4291 §2.5.4) and could evade the limit.
 */
function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  if (address.startsWith(mappedPrefix) && address.includes(".")) return address.slice(mappedPrefix.length);
  const [head = [], tail = []] = address.split("::").map((part) => part.split(":").filter(Boolean));
  const zeros = Array<string>(Math.max(groups - head.length - tail.length, 0)).fill("0");
  return [...head, ...zeros, ...tail].slice(0, networkGroups).join(":");
}
