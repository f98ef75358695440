/**
 * Admits requests of the HTTP port by their `Host` and `Origin` headers. Without this, any web page that a user visits
 * could call a server on loopback, where there is no authentication: cross-origin, or under a domain of its own that
 * resolves to 127.0.0.1 (DNS rebinding).
 */
import { isIP } from "node:net";
import { refusal } from "../errors.ts";

export type OriginOptions = {
  /** The address that the port is bound to. */
  readonly host: string;
  /** Further host names to accept. One that starts with a dot stands for that domain and all its subdomains. */
  readonly hosts: readonly string[];
  /** Origins of web pages that may call, as browsers write them: `https://app.example:8443`. */
  readonly origins: readonly string[];
};

export type OriginCheck = {
  /**
   * Throws a refusal when the request must not be served. Returns the origin when it is one of `origins`, for the CORS
   * headers of the response; null for all other callers.
   */
  admit(request: { readonly host: string | undefined; readonly origin: string | undefined }): string | null;
};

export function createOriginCheck({ host, hosts, origins }: OriginOptions): OriginCheck {
  const bound = host.toLowerCase();
  const names = new Set([bound, ...hosts.filter((name) => !name.startsWith(".")).map((name) => name.toLowerCase())]);
  const suffixes = hosts.filter((name) => name.startsWith(".")).map((name) => name.toLowerCase());
  const allowedOrigins = new Set(origins.map((origin) => origin.toLowerCase()));
  const isLocal = isLoopback(bound);

  /**
   * On a port that other machines can reach, addresses and names without a dot are accepted too: probes and load
   * balancers use an address, services of one namespace a bare name, and neither can be the host of a foreign web page.
   */
  function isHost(name: string): boolean {
    if (names.has(name) || isLoopback(name)) return true;
    if (!isLocal && (isIP(name) !== 0 || !name.includes("."))) return true;
    return suffixes.some((suffix) => `.${name}`.endsWith(suffix));
  }

  return {
    admit({ host, origin }) {
      const name = parseHost(host);
      if (!isHost(name)) throw refusal("host_not_allowed", [name.slice(0, maxQuoted)]);
      if (origin === undefined) return null;
      const lower = origin.toLowerCase();
      if (allowedOrigins.has(lower)) return lower;
      if (lower.replace(/^https?:\/\//, "") === host?.toLowerCase()) return null; // a page served by this server
      throw refusal("origin_not_allowed", [origin.slice(0, maxQuoted)]);
    },
  };
}

const authority = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/;
const maxQuoted = 100;

/** The name or address in a `Host` header, in lower case, without brackets and port. */
function parseHost(value: string | undefined): string {
  const [, name, port] = authority.exec(value ?? "") ?? [];
  if (name === undefined || Number(port ?? 0) > 65_535 || !URL.canParse(`http://${value}`)) {
    const quoted = value === undefined ? "there is no Host" : `Host "${value.slice(0, maxQuoted)}"`;
    throw refusal("malformed_request", [`${quoted}: it must be a host name or an address, optionally with a port`]);
  }
  return name.toLowerCase().replace(/^\[|\]$|\.$/g, "");
}

/** Names and addresses of the loopback interface (RFC 6761 §6.3, RFC 1122 §3.2.1.3). */
function isLoopback(name: string): boolean {
  if (name === "localhost" || name.endsWith(".localhost")) return true;
  switch (isIP(name)) {
    case 4:
      return name.startsWith("127.");
    case 6:
      return /^\[::(1|ffff:7f[0-9a-f]{2}:.*)\]$/.test(new URL(`http://[${name}]`).hostname);
    default:
      return false;
  }
}
