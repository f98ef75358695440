/** What the clients ask when the faults have stopped: is the queue empty, what do dead letters tell, do redrives work. */
import { create } from "@bufbuild/protobuf";
import {
  StatsRequestSchema,
  ResultsRequestSchema,
  WorkerPoolService,
} from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import { AttemptOutcome } from "../../../src/gen/millpond/v1/job_pb.ts";
import {
  GetJobRequestSchema,
  ListDeadLettersRequestSchema,
  RedriveJobsRequestSchema,
} from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import { type EventLog, now } from "../history/log.ts";
import { nameOf, outputOf, stateOf } from "./result.ts";
import type { Session } from "./session.ts";
import { type CallFailure, unavailable, type Wire } from "./wire.ts";

type Opened = { readonly client: string; readonly channel: string; readonly wire: Wire; readonly session: Session };
export type EndOptions = { readonly opened: readonly Opened[]; readonly log: EventLog; readonly isFull: boolean };

const timeoutMs = 10_000;
const restMs = 15_000;
const pollMs = 100;
/** For calls that the connection fails. */
const patienceMs = 30_000;
const letters = 100;
const redriven = 20;
const { method } = WorkerPoolService;

/** Bounded: what a server does not answer in time is missing in the log, and the checker says so. */
export async function atTheEnd({ opened, log, isFull }: EndOptions): Promise<void> {
  const byClient = new Map(opened.map(({ client, wire }) => [client, wire]));
  try {
    if (isFull) for (const [client, wire] of byClient) await readLetters(client, wire, log);
    await rest(opened[0]!, log);
    await Promise.all(opened.map(({ session }) => session.close())); // so that nobody acknowledges what is read now
    for (const each of opened) await readOnceMore(each, log);
  } catch (error) {
    process.stderr.write(`nemesis driver: the end was not reached: ${JSON.stringify(error)}\n`);
  }
}

/** A connection that a fault left half-open is noticed by the first call on it: that one is made again. */
async function patiently<T>(call: () => Promise<T>): Promise<T> {
  const until = performance.now() + patienceMs;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if ((error as CallFailure).code !== unavailable || performance.now() > until) throw error;
      await new Promise((resolve) => void setTimeout(resolve, pollMs));
    }
  }
}

/** Asks until nothing waits and nothing runs, and writes down the last answer. */
async function rest({ client, wire }: Opened, log: EventLog): Promise<void> {
  const until = performance.now() + restMs;
  for (;;) {
    const { snapshot } = await patiently(() => wire.unary(method.stats, create(StatsRequestSchema), timeoutMs));
    let [queued, running] = [0, 0];
    for (const pool of snapshot?.pools ?? []) {
      queued += Number(pool.queued);
      running += pool.running;
    }
    if (queued + running === 0 || performance.now() > until) {
      return log.write({ at: now(), client, kind: "at-rest", queued, running });
    }
    await new Promise((resolve) => void setTimeout(resolve, pollMs));
  }
}

/** Everything that is not acknowledged comes again, as it was. */
async function readOnceMore({ client, channel, wire }: Opened, log: EventLog): Promise<void> {
  const request = create(ResultsRequestSchema, { channel, stopAtEnd: true });
  let tries = 0;
  await patiently(() => {
    tries += 1;
    const stream = `${client}/${channel}#last${tries > 1 ? tries : ""}`;
    log.write({ at: now(), client, kind: "open", channel, stream, after: 0 });
    return wire.collect(method.results, request, timeoutMs * 6, ({ results }) => {
      for (const result of results) {
        const { cursor, jobId: id, state, attempts, redrives, failure } = result;
        log.write({
          ...{ at: now(), client, channel, kind: "result", stream, cursor: Number(cursor), id, attempts, redrives },
          ...{ state: stateOf(state), ...outputOf(result), reason: failure?.reason ?? null },
        });
      }
    });
  });
}

/** Reads some dead letters, and sends a few of them through the queue once more. */
async function readLetters(client: string, wire: Wire, log: EventLog): Promise<void> {
  const request = create(ListDeadLettersRequestSchema, { pageSize: letters, filter: { all: true } });
  const { jobs } = await patiently(() => wire.unary(method.listDeadLetters, request, timeoutMs));
  for (const { id } of jobs) {
    const { job } = await patiently(() =>
      wire.unary(method.getJob, create(GetJobRequestSchema, { jobId: id }), timeoutMs),
    );
    if (!job) continue;
    const history = job.history.map(({ number, outcome, failure }) => ({
      number,
      outcome: nameOf(AttemptOutcome, outcome),
      reason: failure?.reason ?? "",
    }));
    log.write({ at: now(), client, kind: "dead-letter", id, attempts: job.attempts, history });
  }
  const jobIds = jobs.slice(0, redriven).map(({ id }) => id);
  if (jobIds.length === 0) return;
  await patiently(() => {
    for (const id of jobIds) log.write({ at: now(), client, kind: "redrive", id });
    return wire.unary(method.redriveJobs, create(RedriveJobsRequestSchema, { jobIds }), timeoutMs);
  });
}
