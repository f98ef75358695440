import { hostname, networkInterfaces } from "node:os";

export type Reporter = {
  /** Of this server. */
  readonly version: string;
  /** This server process: unique for each start. */
  readonly instance: string;
};

/** Who reports, in the words of OpenTelemetry. The environment has precedence. */
export function resourceOf({ version, instance }: Reporter): { readonly [name: string]: string | number } {
  return {
    "service.version": version,
    "service.instance.id": instance,
    "host.name": hostname(),
    // The name under which Jaeger looks for the host. Spans without one it takes for those of a host whose clock is wrong,
    // and moves what goes on after its parent's end, as attempts do, into the parent's time.
    ip: addressOfHost(),
    "process.pid": process.pid,
    "telemetry.sdk.language": "nodejs",
    "telemetry.sdk.name": "opentelemetry",
  };
}

/** The first address that other machines may know; that of loopback where there is no network. */
function addressOfHost(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return addresses.find(({ internal }) => !internal)?.address ?? "127.0.0.1";
}
