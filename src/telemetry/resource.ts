import { hostname, networkInterfaces } from "node:os";

export type Reporter = {
  /** Of this server. */
  readonly version: string;
  /** This server process: unique for each start. */
  readonly instance: string;
};

/** This server as an OpenTelemetry resource. The environment has precedence. */
export function resourceOf({ version, instance }: Reporter): { readonly [name: string]: string | number } {
  return {
    "service.version": version,
    "service.instance.id": instance,
    "host.name": hostname(),
    // Jaeger expects the host under this name. Without it, it assumes clock skew and shifts spans that outlast their
    // parent, as attempts do, into the parent's time.
    ip: addressOfHost(),
    "process.pid": process.pid,
    "telemetry.sdk.language": "nodejs",
    "telemetry.sdk.name": "opentelemetry",
  };
}

/** The first address that is not internal; the loopback address without a network. */
function addressOfHost(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return addresses.find(({ internal }) => !internal)?.address ?? "127.0.0.1";
}
