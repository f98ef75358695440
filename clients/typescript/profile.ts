import { create } from "@bufbuild/protobuf";
import { AdminService, ProfileRequestSchema } from "../../src/gen/millpond/v1/admin_pb.ts";
import type { Call } from "./call.ts";
import { toDuration, toNumber } from "./encode.ts";
import { type ProfileKindName, profileKindNames } from "./names.ts";

export type ProfileOptions = {
  /**
   * `cpu`: what threads spend their time on. `allocations`: which functions allocated the memory in use. `heap`: all that is
   * in a thread's memory, which stands still until it is written. Default: `cpu`.
   */
  readonly kind?: ProfileKindName | undefined;
  /** `main`, `store`, or a pool. Default: all threads; for `heap` one has to be named. */
  readonly target?: string | undefined;
  /** How long to record, in milliseconds, 1 s to 60 s. Default: 10 s. */
  readonly durationMs?: number | undefined;
};

/** Of one thread: the file on the server's disk, or why there is none. */
export type ProfileInfo = {
  readonly thread: string;
  readonly path: string | null;
  readonly bytes: number;
  readonly error: string | null;
};

const usualMs = 10_000;
/** What an answer may take besides the recording: a large heap is minutes. */
const answerMs = 600_000;

export async function profile(
  call: Call,
  { kind = "cpu", target = "", durationMs }: ProfileOptions = {},
): Promise<ProfileInfo[]> {
  const duration = toDuration(durationMs, "duration");
  const number = toNumber(kind, "kind", profileKindNames);
  const request = create(ProfileRequestSchema, { kind: number, target, ...(duration && { duration }) });
  // tried again it would be another profile, of another time, and each costs the server
  const terms = { deadlineMs: (durationMs ?? usualMs) + answerMs, retries: 0 };
  const { profiles } = await call(AdminService.method.profile, request, terms);
  return profiles.map(({ thread, path, bytes, error }) => {
    return { thread, path: path || null, bytes: Number(bytes), error: error || null };
  });
}
