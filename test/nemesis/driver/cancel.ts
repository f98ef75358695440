import { create } from "@bufbuild/protobuf";
import {
  CancelAnswer_Kind,
  CancelJobsRequestSchema,
  WorkerPoolService,
} from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import { type EventLog, now } from "../history/log.ts";
import type { Random } from "../random.ts";
import { nameOf } from "./result.ts";
import type { Wire } from "./wire.ts";

export type CancellerOptions = {
  readonly client: string;
  readonly wire: Wire;
  readonly log: EventLog;
  readonly random: Random;
};

const timeoutMs = 10_000;
const longestWaitMs = 150;

/** Cancels jobs a little after they were accepted: some wait then, some run, some are final. */
export function createCanceller({ client, wire, log, random }: CancellerOptions) {
  async function cancel(id: string): Promise<void> {
    log.write({ at: now(), client, kind: "cancel", id });
    try {
      const request = create(CancelJobsRequestSchema, { jobIds: [id] });
      const { answers } = await wire.unary(WorkerPoolService.method.cancelJobs, request, timeoutMs);
      const says = nameOf(CancelAnswer_Kind, answers[0]?.kind ?? CancelAnswer_Kind.UNSPECIFIED);
      log.write({ at: now(), client, kind: "cancel-answered", id, says });
    } catch {
      // not answered: it may be cancelled or not
    }
  }

  return {
    cancelSoon: (id: string) => void setTimeout(() => void cancel(id), random.integer(0, longestWaitMs)),
  };
}
