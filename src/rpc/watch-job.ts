/** `WatchJob`: the current job, then every change of it until it is final. */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { drainingRetryMs } from "../engine/admit/admission.ts";
import { fingerprintOf, type JobUpdate, type LogLine, type Watchers } from "../engine/watch/watchers.ts";
import { invalid, messageOf, refusal } from "../errors.ts";
import {
  LogLine_Level as Level,
  LogLineSchema,
  type WatchJobRequest,
  type WatchJobResponse,
  WatchJobResponseSchema,
} from "../gen/millpond/v1/worker_pool_pb.ts";
import { isFinal, type JsonValue, type StoredJob } from "../job/job.ts";
import type { CallContext } from "./call.ts";
import { toWire } from "./convert/state.ts";
import { findJob, type JobParts, reloadJob, showJob } from "./find-job.ts";

export type WatchParts = JobParts & { readonly watchers: Watchers };

/** Upper bound on event numbers: they are exact integers that start from the current time, and never come near it. */
const maxEvent = BigInt(Number.MAX_SAFE_INTEGER - 1);

export async function* watchJob(
  parts: WatchParts,
  { jobId, afterEvent }: WatchJobRequest,
  { client, signal }: CallContext,
): AsyncGenerator<WatchJobResponse> {
  if (afterEvent > maxEvent) {
    throw invalid([
      { field: "after_event", description: `is ${afterEvent}, and no event has a number above ${maxEvent}` },
    ]);
  }
  const { id } = await findJob(parts, client, jobId);
  const watch = parts.watchers.open(client, id, Number(afterEvent));
  const close = () => watch.close();
  signal.addEventListener("abort", close, { once: true });
  if (signal.aborted) close();
  try {
    let shown = "";
    let final: StoredJob | undefined;
    let event = 0;
    for (let update = await watch.next(); update; update = await watch.next()) {
      event = update.event;
      if (update.kind !== "changed") {
        yield response(event, otherUpdate(update));
        continue;
      }
      const job = final ?? (await reloadJob(parts, client, id, watch));
      if (!job) continue;
      if (isFinal(job.state)) {
        final = job;
        watch.finish(); // the last message is sent after the remaining log lines
      } else if (fingerprintOf(job) !== shown) {
        shown = fingerprintOf(job);
        yield response(event, { case: "job", value: showJob(parts, job) });
      }
    }
    if (signal.aborted) throw signal.reason;
    if (!final) throw refusal("draining", [], { retryAfterMs: drainingRetryMs });
    yield response(event, { case: "job", value: showJob(parts, final) });
  } finally {
    signal.removeEventListener("abort", close);
    close();
  }
}

type Update = WatchJobResponse["update"];

function response(event: number, update: Update): WatchJobResponse {
  return create(WatchJobResponseSchema, { event: BigInt(event), update });
}

function otherUpdate(update: Exclude<JobUpdate, { readonly kind: "changed" }>): Update {
  switch (update.kind) {
    case "progress":
      return { case: "progress", value: { $typeName: "millpond.v1.Progress", ...update.progress } };
    case "log":
      return { case: "log", value: fromLine(update.line) };
    case "dropped":
      return { case: "dropped", value: BigInt(update.count) };
  }
}

function fromLine({ level, text, fields, attempt, at }: LogLine) {
  return create(LogLineSchema, {
    level: toWire(Level, level),
    text,
    fields: toStruct(fields),
    attempt,
    at: timestampFromMs(at),
  });
}

/**
 * A task may have logged values that JSON cannot represent: they are replaced, because the line is worth more than an
 * error.
 */
function toStruct(fields: LogLine["fields"]): { [key: string]: JsonValue } {
  try {
    return JSON.parse(JSON.stringify(fields)) as { [key: string]: JsonValue };
  } catch (error) {
    return { unreadable: messageOf(error) };
  }
}
