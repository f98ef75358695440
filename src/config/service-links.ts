/**
 * Variables that Kubernetes sets in every pod of a namespace with a Service named `millpond` or `millpond-...`. They
 * begin with MILLPOND_ and are no settings, although some have a setting's name: MILLPOND_GRPC_PORT of a Service
 * `millpond-grpc`. https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
 */
import { isIP } from "node:net";

type Env = { readonly [name: string]: string | undefined };

const isUrl = (value: string) => /^(tcp|udp|sctp):\/\/\S+:\d{1,5}$/.test(value);
const isPort = (value: string) => /^\d{1,5}$/.test(value);

/** The end of a variable's name, and what its value looks like. Both must match, so that a mistyped setting is still found. */
const shapes: readonly (readonly [name: RegExp, isValue: (value: string) => boolean])[] = [
  [/_SERVICE_HOST$/, (value) => isIP(value) > 0],
  [/_SERVICE_PORT(_[A-Z0-9_]+)?$/, isPort],
  [/_PORT$/, isUrl],
  [/_PORT_\d+_(TCP|UDP|SCTP)$/, isUrl],
  [/_PORT_\d+_(TCP|UDP|SCTP)_PROTO$/, (value) => /^(tcp|udp|sctp)$/.test(value)],
  [/_PORT_\d+_(TCP|UDP|SCTP)_PORT$/, isPort],
  [/_PORT_\d+_(TCP|UDP|SCTP)_ADDR$/, (value) => isIP(value) > 0],
];

/** The names of the service-link variables in an environment, sorted. */
export function serviceLinksIn(env: Env): string[] {
  return Object.keys(env)
    .filter((name) => isServiceLink(name, env[name] ?? ""))
    .sort();
}

/** The environment without them. */
export function withoutServiceLinks(env: Env): Env {
  return Object.fromEntries(Object.entries(env).filter(([name, value]) => !isServiceLink(name, value ?? "")));
}

function isServiceLink(name: string, value: string): boolean {
  return name.startsWith("MILLPOND_") && shapes.some(([shape, isValue]) => shape.test(name) && isValue(value));
}
