import { create } from "@bufbuild/protobuf";
import { AdminService, DrainRequestSchema } from "../../src/gen/millpond/v1/admin_pb.ts";
import type { Call } from "./call.ts";
import { toDuration } from "./encode.ts";

export type DrainOptions = {
  /** How long the answer may wait for running jobs, 0 to an hour in milliseconds. Default 0: it comes at once. */
  readonly waitMs?: number | undefined;
};

export type Drained = {
  /** Jobs that still run. */
  readonly running: number;
  /** Jobs that wait, and stay in the store. */
  readonly queued: number;
};

/** What an answer may take besides the wait that was asked for. */
const answerMs = 30_000;

/** From now on the server leases nothing more and refuses jobs, and what runs goes on. Only a restart undoes it. */
export async function drain(call: Call, { waitMs }: DrainOptions = {}): Promise<Drained> {
  const request = create(DrainRequestSchema, { wait: toDuration(waitMs, "wait") });
  const terms = waitMs === undefined ? {} : { deadlineMs: waitMs + answerMs };
  const { running, queued } = await call(AdminService.method.drain, request, terms);
  return { running, queued: Number(queued) };
}
