/** Converts the requests of `AdminService`. */
import { LogLevel, ProfileRequest_Kind as Kind } from "../../gen/millpond/v1/admin_pb.ts";
import type { LogThreshold } from "../../log.ts";
import type { ProfileKind } from "../../profile.ts";
import { fromWire, toWire } from "./state.ts";

export const fromLogThreshold = (threshold: LogThreshold): LogLevel => toWire(LogLevel, threshold);

/** Null when unspecified; refused when there is no such level. */
export function toLogThreshold(level: LogLevel): LogThreshold | null {
  return fromWire(LogLevel, level, "level", "a level");
}

/** `cpu` when unspecified; refused when there is no such kind. */
export function toProfileKind(kind: Kind): ProfileKind {
  return fromWire(Kind, kind, "kind", "a kind of profile") ?? "cpu";
}
