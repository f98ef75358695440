/** The submits of one stream: many may be under way, and each is answered once its jobs are on disk. */
import type { Admission, Admitted } from "../../engine/admission.ts";
import type { Draft } from "../../engine/draft.ts";
import type { ExchangeSubmit } from "../../gen/millpond/v1/worker_pool_pb.ts";
import type { Tracing } from "../../telemetry/instruments.ts";
import { type CallContext, parseTrace } from "../call.ts";
import { toDraft } from "../convert/spec.ts";
import type { Awaited } from "./awaited.ts";

export type Submits = {
  /**
   * Resolves with one answer for each job, in order; results of jobs that it admitted may come before. Holds nothing of
   * the request meanwhile but the jobs' ids.
   */
  submit(request: ExchangeSubmit): Promise<readonly Admitted[]>;
  /** Resolves once every submit under way that names one of these jobs is stored: who cancels them finds them there. */
  stored(ids: readonly string[]): Promise<void>;
};

export type SubmitsParts = {
  readonly admission: Admission;
  readonly tracing: Tracing;
  readonly call: CallContext;
  /** That of jobs which name none. */
  readonly channel: string;
  readonly awaited: Awaited;
  /** The client is over its rate: its next jobs are read after so long. Told once until it is not any more. */
  readonly onThrottled: (waitMs: number) => void;
};

export function createSubmits({ admission, tracing, call, channel, awaited, onThrottled }: SubmitsParts): Submits {
  /** Their ids as they came, and when they are stored. */
  const underWay = new Map<readonly string[], Promise<unknown>>();
  let isThrottled = false;

  function onWait(waitMs: number): void {
    if (!isThrottled) onThrottled(waitMs);
    isThrottled = true;
  }

  async function admit(drafts: readonly Draft[], traceparent: string): Promise<readonly Admitted[]> {
    const span = tracing.submit(parseTrace(traceparent) ?? call.trace, call.client);
    try {
      const repeated: string[] = [];
      // at once, piece by piece: while a client over its rate waits for the rest, results of the first already come
      const onAdmitted = (piece: readonly Admitted[]) => void repeated.push(...awaited.expect(piece));
      const options = { signal: call.signal, onWait, onAdmitted };
      const admitted = await admission.admitSlowly(call.client, drafts, span.trace, options);
      isThrottled = false;
      const refused = admitted.filter(({ kind }) => kind === "refused").length;
      span.end({ accepted: admitted.length - refused, refused });
      await awaited.forgetFinal(repeated);
      return admitted;
    } catch (error) {
      span.end({ error: String(error) });
      throw error;
    }
  }

  return {
    submit({ jobs, traceparent }) {
      const ids = jobs.map(({ id }) => id);
      const forget = () => void underWay.delete(ids);
      const answer = admit(
        jobs.map((spec) => toDraft(spec, channel)),
        traceparent,
      );
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
