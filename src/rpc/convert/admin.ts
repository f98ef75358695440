/** Converts the requests of `AdminService`. */
import { LogLevel, ProfileRequest_Kind as Kind } from "../../gen/millpond/v1/admin_pb.ts";
import type { LogThreshold } from "../../log.ts";
import type { ProfileKind } from "../../profile.ts";
import { fromWire } from "./state.ts";

const levels: { readonly [T in LogThreshold]: LogLevel } = {
  debug: LogLevel.DEBUG,
  info: LogLevel.INFO,
  warn: LogLevel.WARN,
  error: LogLevel.ERROR,
  silent: LogLevel.SILENT,
};

const kinds: { readonly [K in ProfileKind]: Kind } = {
  cpu: Kind.CPU,
  allocations: Kind.ALLOCATIONS,
  heap: Kind.HEAP,
};

export const fromLogThreshold = (threshold: LogThreshold): LogLevel => levels[threshold];

/** Null when unspecified; refused when there is no such level. */
export function toLogThreshold(level: LogLevel): LogThreshold | null {
  return fromWire(levels, level, "level", "a level");
}

/** `cpu` when unspecified; refused when there is no such kind. */
export function toProfileKind(kind: Kind): ProfileKind {
  return fromWire(kinds, kind, "kind", "a kind of profile") ?? "cpu";
}
