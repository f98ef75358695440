import { create } from "@bufbuild/protobuf";
import { AdminService, LogLevel, SetLogLevelRequestSchema } from "../../src/gen/millpond/v1/admin_pb.ts";
import type { Call } from "./call.ts";
import { toDuration, toNumber } from "./encode.ts";
import { type LogThresholdName, logThresholdNames } from "./names.ts";

export type SetLogLevelOptions = {
  /** How long the level holds, in milliseconds, 1 s to 24 h; then the configured level applies again. Default: until the server stops. */
  readonly forMs?: number | undefined;
};

export type LogLevelChange = { readonly level: LogThresholdName; readonly previous: LogThresholdName };

const thresholds = new Map<LogLevel, string>([...logThresholdNames, [LogLevel.UNSPECIFIED, "configured"]]);

export async function setLogLevel(
  call: Call,
  level: LogThresholdName | "configured",
  { forMs }: SetLogLevelOptions = {},
): Promise<LogLevelChange> {
  const number = toNumber(level, "level", thresholds);
  const request = create(SetLogLevelRequestSchema, { level: number, duration: toDuration(forMs, "duration") });
  const changed = await call(AdminService.method.setLogLevel, request);
  return { level: nameOf(changed.level), previous: nameOf(changed.previous) };
}

function nameOf(level: LogLevel): LogThresholdName {
  return logThresholdNames.get(level) ?? "silent";
}
