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
    // Jaeger looks for the host under this name. It takes spans without one for those of a host whose clock is wrong,
    // and moves what goes on after its parent's end, as attempts do, into the parent's time.
    ip: addressOfHost(),
    "process.pid": process.pid,
    "telemetry.sdk.language": "nodejs",
    "telemetry.sdk.name": "opentelemetry",
  };
}

/** The first address that other machines may know; the loopback address where there is no network. */
function addressOfHost(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return addresses.find(({ internal }) => !internal)?.address ?? "127.0.0.1";
}
