/** The submits of one stream: several may be in progress, and each is answered once its jobs are on disk. */
import type { Admission, Admitted } from "../../engine/admit/admission.ts";
import type { Draft } from "../../engine/admit/draft.ts";
import type { ExchangeSubmit } from "../../gen/millpond/v1/worker_pool_pb.ts";
import type { Submission, Tracing } from "../../tracing.ts";
import type { CallContext } from "../call.ts";
import { toDraft } from "../convert/job.ts";
import type { PendingResults } from "./pending-results.ts";

export type Submits = {
  /**
   * Resolves with one answer for each job, in order; results of its jobs may be sent before. Keeps only the jobs' ids
   * in memory meanwhile.
   */
  submit(request: ExchangeSubmit): Promise<readonly Admitted[]>;
  /** Resolves once every pending submit of one of these jobs is stored, so that a cancel finds them. */
  stored(ids: readonly string[]): Promise<void>;
};

export type SubmitsParts = {
  readonly admission: Admission;
  readonly tracing: Pick<Tracing, "submission">;
  readonly call: CallContext;
  /** The channel of jobs that name none. */
  readonly channel: string;
  readonly pending: PendingResults;
  /**
   * The client exceeds its rate: its next jobs are read after `waitMs`. Called once until the client is below its rate
   * again.
   */
  readonly onThrottled: (waitMs: number) => void;
};

export function createSubmits({ admission, tracing, call, channel, pending, onThrottled }: SubmitsParts): Submits {
  /** The ids of pending submits as sent, and a promise that resolves when they are stored. */
  const underWay = new Map<readonly string[], Promise<unknown>>();
  let isThrottled = false;

  function throttle(waitMs: number): void {
    if (!isThrottled) onThrottled(waitMs);
    isThrottled = true;
  }

  async function admit(drafts: readonly Draft[], submission: Submission): Promise<readonly Admitted[]> {
    const onWait = (waitMs: number) => {
      throttle(waitMs);
      submission.throttled(waitMs);
    };
    try {
      const repeated: string[] = [];
      // piece by piece: while the client waits for the rest because of its rate, results of the first jobs may already be sent
      const onAdmitted = (piece: readonly Admitted[]) => void repeated.push(...pending.expect(piece));
      const options = { signal: call.signal, onWait, onAdmitted };
      const admitted = await admission.admitSlowly(call.client, drafts, options);
      isThrottled = false;
      submission.end(admitted);
      await pending.forgetFinal(repeated);
      return admitted;
    } catch (error) {
      submission.fail(error);
      throw error;
    }
  }

  return {
    submit({ jobs, traceparent }) {
      const ids = jobs.map(({ id }) => id);
      const forget = () => void underWay.delete(ids);
      const submission = tracing.submission(call, "Exchange", { traceparent });
      const drafts = jobs.map((spec) => toDraft(spec, channel, submission.next(spec.traceContext)));
      const answer = admit(drafts, submission);
      underWay.set(ids, answer);
      answer.then(forget, forget);
      return answer;
    },
    async stored(ids) {
      if (underWay.size === 0) return;
      const wanted = new Set(ids);
      const before = [...underWay].filter(([named]) => named.some((id) => wanted.has(id.toLowerCase())));
      await Promise.allSettled(before.map(([, answer]) => answer));
    },
  };
}
