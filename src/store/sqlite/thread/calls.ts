import type { Lease, StoredJob, StoredResult } from "../../../job/job.ts";
import { deadReasons, decodeResult, states } from "../../../job/ending.ts";
import { decodeLease } from "../../../job/record.ts";
import { decodeStored, decodeWhole } from "../../../job/stored-job.ts";
import type { Settling, StoreCalls, Submission, Submitted } from "../../store.ts";
import type { Batches } from "./batches.ts";
import type { BytesReader, BytesWriter } from "./bytes.ts";
import { bytesOfIds, orNull, toNumberColumn, toTextColumn } from "./columns.ts";
import {
  type Calls,
  type LeaseColumns,
  plainCalls,
  type SettlementColumns,
  type StoredAnswer,
  type SubmissionColumns,
} from "./protocol.ts";

/** The port's methods as commands in batches; everything but `close`. Runs in the server's thread. */
export function createCalls({ call }: Batches): Omit<StoreCalls, "close"> {
  const plain = plainCalls.map((name) => [
    name,
    (request: never) =>
      call(
        name,
        () => request,
        (answer) => answer,
      ),
  ]);
  return {
    ...(Object.fromEntries(plain) as Pick<StoreCalls, (typeof plainCalls)[number]>),
    submit: (jobs) =>
      call(
        "submit",
        (bytes) => toSubmissionColumns(jobs, bytes),
        (answers, bytes) => jobs.map((_, index) => toSubmitted(answers.get(index), bytes)),
      ),
    lease: (request) =>
      call(
        "lease",
        () => request,
        ({ leases, nextDueAt }, bytes) => ({ leases: toLeases(leases, bytes), nextDueAt }),
      ),
    settle: (attempts) =>
      call(
        "settle",
        (bytes) => toSettlementColumns(attempts, bytes),
        (answers) => attempts.map((_, index) => answers.get(index) ?? "written"),
      ),
    expired: (request) =>
      call(
        "expired",
        () => request,
        ({ leases, holders }, bytes) =>
          toLeases(leases, bytes).map((lease, index) => ({ ...lease, ...holders[index]! })),
      ),
    get: (request) =>
      call(
        "get",
        () => request,
        (answer, bytes) => {
          if (!answer) return null;
          const record = bytes.take(answer.recordBytes).slice();
          const result = takeEnding(answer, bytes);
          const history = answer.historyBytes.map((size) => bytes.take(size));
          const job = decodeWhole(record, answer.standing, result && result.slice(), history);
          return answer.damage ? { ...job, failure: answer.damage } : job;
        },
      ),
    list: (request) =>
      call(
        "list",
        () => request,
        ({ jobs, nextSeq }, bytes) => ({ jobs: jobs.map((job) => toStored(job, bytes)), nextSeq }),
      ),
    results: (request) =>
      call(
        "results",
        () => request,
        ({ results, ...positions }, bytes) => {
          const { cursor, endingBytes } = results;
          const decoded: StoredResult[] = [];
          for (let index = 0; index < cursor.length; index += 1)
            decoded.push(decodeResult(bytes.take(endingBytes[index]!), cursor[index]!));
          return { results: decoded, ...positions };
        },
      ),
  };
}

function toSubmissionColumns(jobs: readonly Submission[], bytes: BytesWriter): SubmissionColumns {
  const hasKeys = jobs.some(({ content }) => content !== null);
  bytes.put(bytesOfIds(jobs, ({ job }) => job.id));
  for (const { record, content } of jobs) {
    bytes.put(record);
    if (content) bytes.put(content);
  }
  return {
    client: toTextColumn(jobs, ({ job }) => job.client),
    task: toTextColumn(jobs, ({ job }) => job.task),
    pool: toTextColumn(jobs, ({ job }) => job.pool),
    channel: toTextColumn(jobs, ({ job }) => job.channel ?? ""),
    priority: toNumberColumn(jobs, ({ job }) => job.priority),
    runAt: toNumberColumn(jobs, ({ job }) => job.runAt),
    expiresAt: toNumberColumn(jobs, ({ job }) => job.expiresAt),
    submittedAt: toNumberColumn(jobs, ({ job }) => job.submittedAt),
    key: hasKeys ? jobs.map(({ job }) => job.idempotencyKey) : null,
    recordBytes: toNumberColumn(jobs, ({ record }) => record.length),
    contentBytes: toNumberColumn(jobs, ({ content }) => content && content.length),
  };
}

const accepted: Submitted = { kind: "accepted" };

function toSubmitted(answer: ReturnType<Calls["submit"]["answer"]["get"]>, bytes: BytesReader): Submitted {
  if (answer?.kind !== "known") return answer ?? accepted;
  const { contentBytes, ...known } = answer;
  return { ...known, content: bytes.take(contentBytes) };
}

function toLeases(columns: LeaseColumns, bytes: BytesReader): Lease[] {
  const leases: Lease[] = [];
  // not Array.from: its iterator costs as much garbage as a lease
  for (let index = 0; index < columns.seq.length; index += 1) {
    const record = bytes.take(columns.recordBytes[index]!);
    const lease = decodeLease(record, {
      seq: columns.seq[index]!,
      attempt: columns.attempt[index]!,
      fence: columns.fence[index]!,
      crashes: columns.crashes[index]!,
      redrives: columns.redrives[index]!,
      runAt: columns.runAt[index]!,
      expiresAt: orNull(columns.expiresAt[index]!),
      startedAt: orNull(columns.startedAt[index]!),
      isCancelling: false,
    });
    const damage = columns.damage.get(index);
    leases.push(damage ? { ...lease, record: new Uint8Array(), damage } : lease);
  }
  return leases;
}

function toSettlementColumns(attempts: readonly Settling[], bytes: BytesWriter): SettlementColumns {
  for (const { ending } of attempts) if (ending) bytes.put(ending);
  return {
    seq: toNumberColumn(attempts, ({ settlement }) => settlement.seq),
    fence: toNumberColumn(attempts, ({ settlement }) => settlement.fence),
    state: toNumberColumn(attempts, ({ settlement }) => states.indexOf(settlement.state)),
    attempt: toNumberColumn(attempts, ({ settlement }) => settlement.attempt),
    crashes: toNumberColumn(attempts, ({ settlement }) => settlement.crashes),
    runAt: toNumberColumn(attempts, ({ settlement }) => settlement.runAt),
    startedAt: toNumberColumn(attempts, ({ settlement }) => settlement.startedAt),
    finishedAt: toNumberColumn(attempts, ({ settlement }) => settlement.finishedAt),
    deadReason: toNumberColumn(attempts, ({ settlement: { deadReason } }) =>
      deadReason === null ? null : deadReasons.indexOf(deadReason),
    ),
    isPast: toNumberColumn(attempts, ({ settlement }) => (settlement.outcome === "succeeded" ? 0 : 1)),
    endingBytes: toNumberColumn(attempts, ({ ending }) => ending && ending.length),
  };
}

function toStored(answer: StoredAnswer, bytes: BytesReader): StoredJob {
  const record = bytes.take(answer.recordBytes);
  const job = decodeStored(record, answer.standing, takeEnding(answer, bytes));
  return answer.damage ? { ...job, failure: answer.damage } : job;
}

function takeEnding({ endingBytes }: StoredAnswer, bytes: BytesReader): Uint8Array | null {
  return endingBytes < 0 ? null : bytes.take(endingBytes);
}
