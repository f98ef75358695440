/** `Run`: a job as a function call. The response is its result, and the call's deadline is the job's. */
import { create } from "@bufbuild/protobuf";
import type { Clock } from "../clock.ts";
import { type Admission, drainingRetryMs } from "../engine/admit/admission.ts";
import type { Canceller } from "../engine/act/cancel.ts";
import { defaultChannel, type Draft } from "../engine/admit/draft.ts";
import type { JobWatch, Watchers } from "../engine/watch/watchers.ts";
import { type FieldViolation, invalid, type MillpondError, refusal } from "../errors.ts";
import { type RunRequest, type RunResponse, RunResponseSchema } from "../gen/millpond/v1/worker_pool_pb.ts";
import { newId } from "../job/id.ts";
import type { StoredResult } from "../job/job.ts";
import type { Store } from "../store/store.ts";
import type { Tracing } from "../tracing.ts";
import type { CallContext } from "./call.ts";
import { fromResult, resultOf } from "./convert/result.ts";
import { toDraft } from "./convert/job.ts";
import { findJob, reloadJob } from "./find-job.ts";
import { type Accepted, acceptedOf } from "./submit.ts";

export type RunParts = {
  readonly admission: Admission;
  readonly watchers: Watchers;
  readonly canceller: Canceller;
  readonly store: Pick<Store, "get">;
  readonly tracing: Pick<Tracing, "submission" | "delivered">;
  readonly clock: Clock;
  /** Aborts when the server begins to drain. */
  readonly draining: AbortSignal;
};

/** A call that ends at most this long before its deadline ended because of it: timers may fire slightly early. */
const timerSlackMs = 2;

export async function run(parts: RunParts, request: RunRequest, call: CallContext): Promise<RunResponse> {
  const { watchers, clock, canceller, tracing } = parts;
  const draft = toRunDraft(request, call, clock.now());
  // opened before the submit, so that no change of the job's state is missed
  let watch = watchers.open(call.client, draft.id, 0);
  const close = () => watch.close();
  call.signal.addEventListener("abort", close, { once: true });
  try {
    const job = await submit(parts, draft, request, call);
    if (job.id !== draft.id) {
      watch.close(); // its idempotency key belongs to a job with another id
      watch = watchers.open(call.client, job.id, 0);
      if (call.signal.aborted) watch.close();
    }
    const result = await whenFinal(parts, job, watch, call.client);
    // the job may expire just before the call's timer fires: the caller gets the same error either way
    const { deadlineAt } = call;
    if (result?.deadReason === "expired" && deadlineAt !== null && draft.expiresAt === deadlineAt) {
      throw endOf(call, Math.max(clock.now(), deadlineAt));
    }
    if (result) {
      tracing.delivered([result], clock.exactNow());
      return create(RunResponseSchema, { result: fromResult(result) });
    }
    const isRepeatable = request.job?.id !== "" || request.job.idempotencyKey !== "";
    if (!request.detach && endsJob(call, clock.now(), isRepeatable)) await canceller.cancel(call.client, [job.id]);
    throw endOf(call, clock.now());
  } finally {
    call.signal.removeEventListener("abort", close);
    close();
  }
}

function toRunDraft({ job, detach }: RunRequest, call: CallContext, now: number): Draft {
  if (!job) throw invalid([{ field: "job", description: "is missing" }]);
  if (call.signal.aborted || isPast(call, now)) throw endOf(call, now);
  const draft = { ...toDraft(job, defaultChannel, null), id: job.id.toLowerCase() || newId(now) };
  if (detach) return draft;
  const violations: FieldViolation[] = [];
  const description = "is set without `detach`: the result is the response of the call and goes to no channel";
  if (job.channel !== "") violations.push({ field: "job.channel", description });
  if (job.discardResult) violations.push({ field: "job.discard_result", description });
  if (violations.length > 0) throw invalid(violations);
  const ends = [draft.expiresAt, call.deadlineAt].filter((at) => at !== null);
  return { ...draft, channel: "", discardResult: true, expiresAt: ends.length > 0 ? Math.min(...ends) : null };
}

async function submit(
  { admission, tracing, clock }: RunParts,
  draft: Draft,
  { job }: RunRequest,
  call: CallContext,
): Promise<Accepted> {
  const submission = tracing.submission(call, "Run");
  try {
    const drafts = [{ ...draft, trace: submission.next(job?.traceContext) }];
    const admitted = await admission.admit(call.client, drafts, call.signal);
    const accepted = acceptedOf(admitted[0], "job");
    submission.end(admitted);
    return accepted;
  } catch (error) {
    submission.fail(error);
    throw isPast(call, clock.now()) ? endOf(call, clock.now()) : error; // not an error about "expires_at", which the caller may not have set
  }
}

/**
 * Resolves with the job's result once it is final; null when the call ended before, or when the draining server will
 * not run the job.
 */
async function whenFinal(
  parts: RunParts,
  { id }: Accepted,
  watch: JobWatch,
  client: string,
): Promise<StoredResult | null> {
  const { draining } = parts;
  /**
   * Jobs queued when the drain starts wait for the next start of the server: their callers are notified now, not after
   * the drain.
   */
  const closeIfQueued = () => {
    findJob(parts, client, id).then(
      ({ state }) => {
        if (state === "QUEUED") watch.close();
      },
      () => watch.close(),
    );
  };
  draining.addEventListener("abort", closeIfQueued, { once: true });
  try {
    for (;;) {
      const update = await watch.next();
      if (update && update.kind !== "changed") continue;
      const job = update ? await reloadJob(parts, client, id, watch) : await findJob(parts, client, id);
      if (!job) continue;
      const result = resultOf(job);
      if (result || !update) return result;
      if (draining.aborted && job.state === "QUEUED") return null;
    }
  } finally {
    draining.removeEventListener("abort", closeIfQueued);
  }
}

/**
 * Whether the job is cancelled when its call ends. After the deadline the job expires by itself; but a client may
 * disconnect at its deadline slightly before our timer fires, and then the job is cancelled, so that it does not start
 * meanwhile. When the server stops, a caller with a job id or an idempotency key can repeat the call and finds its job;
 * any other job would run once for the failed call and once for its repetition.
 */
function endsJob(call: CallContext, now: number, isRepeatable: boolean): boolean {
  return call.signal.aborted ? !isPast(call, now) : !isRepeatable;
}

function isPast({ deadlineAt, signal }: CallContext, now: number): boolean {
  return deadlineAt !== null && deadlineAt <= (signal.aborted ? now + timerSlackMs : now);
}

function endOf(call: CallContext, now: number): MillpondError {
  if (isPast(call, now)) return refusal("deadline_exceeded", []);
  if (call.signal.aborted) return refusal("cancelled", []);
  return refusal("draining", [], { retryAfterMs: drainingRetryMs });
}
