import type { Lease, StoredJob } from "../../../job/job.ts";
import { decodeResult } from "../../../job/ending.ts";
import { decodeLease } from "../../../job/record.ts";
import { decodeStored, decodeWhole } from "../../../job/stored-job.ts";
import type { Settling, Store, Submission, Submitted } from "../../store.ts";
import type { Batches } from "./batches.ts";
import type { BytesReader, BytesWriter } from "./bytes.ts";
import { bytesOfId, toTextColumn } from "./columns.ts";
import {
  type Calls,
  deadReasons,
  type LeaseColumns,
  type SettlementColumns,
  states,
  type StoredAnswer,
  type SubmissionColumns,
} from "./protocol.ts";

const same = <T>(value: T): T => value;

/** The port's methods as commands in batches; everything but `close`. Runs in the server's thread. */
export function createCalls({ call }: Batches): Omit<Store, "close"> {
  return {
    submit: (jobs) =>
      call(
        "submit",
        (bytes) => toSubmissionColumns(jobs, bytes),
        (answers, bytes) => answers.map((answer) => toSubmitted(answer, bytes)),
      ),
    lease: (request) =>
      call(
        "lease",
        () => request,
        ({ leases, nextDueAt }, bytes) => ({ leases: toLeases(leases, [], bytes), nextDueAt }),
      ),
    extend: (request) => call("extend", () => request, same),
    settle: (attempts) => call("settle", (bytes) => toSettlementColumns(attempts, bytes), same),
    expired: (request) =>
      call(
        "expired",
        () => request,
        ({ leases, isCancelling, owner }, bytes) =>
          toLeases(leases, isCancelling, bytes).map((lease, index) => ({ ...lease, owner: owner[index]! })),
      ),
    cancel: (request) => call("cancel", () => request, same),
    redrive: (request) => call("redrive", () => request, same),
    remove: (request) => call("remove", () => request, same),
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
    find: (request) => call("find", () => request, same),
    ahead: (request) => call("ahead", () => request, same),
    results: (request) =>
      call(
        "results",
        () => request,
        ({ results, lastCursor }, bytes) => {
          const { cursor, endingBytes } = results;
          return { results: cursor.map((at, index) => decodeResult(bytes.take(endingBytes[index]!), at)), lastCursor };
        },
      ),
    ack: (requests) => call("ack", () => requests, same),
    prune: (request) => call("prune", () => request, same),
    counts: () => call("counts", () => null, same),
    latest: () => call("latest", () => null, same),
    size: () => call("size", () => null, same),
    oldest: (request) => call("oldest", () => request, same),
  };
}

function toSubmissionColumns(jobs: readonly Submission[], bytes: BytesWriter): SubmissionColumns {
  const hasKeys = jobs.some(({ content }) => content !== null);
  for (const { job, record, content } of jobs) {
    bytes.put(bytesOfId(job.id));
    bytes.put(record);
    if (content) bytes.put(content);
  }
  return {
    client: toTextColumn(jobs.map(({ job }) => job.client)),
    task: toTextColumn(jobs.map(({ job }) => job.task)),
    pool: toTextColumn(jobs.map(({ job }) => job.pool)),
    channel: toTextColumn(jobs.map(({ job }) => job.channel ?? "")),
    priority: jobs.map(({ job }) => job.priority),
    runAt: jobs.map(({ job }) => job.runAt),
    expiresAt: jobs.map(({ job }) => job.expiresAt),
    submittedAt: jobs.map(({ job }) => job.submittedAt),
    key: hasKeys ? jobs.map(({ job }) => job.idempotencyKey) : null,
    recordBytes: jobs.map(({ record }) => record.length),
    contentBytes: hasKeys ? jobs.map(({ content }) => content?.length ?? 0) : [],
  };
}

const accepted: Submitted = { kind: "accepted" };

function toSubmitted(answer: Calls["submit"]["answer"][number], bytes: BytesReader): Submitted {
  if (answer?.kind !== "known") return answer ?? accepted;
  const { contentBytes, ...known } = answer;
  return { ...known, content: bytes.take(contentBytes) };
}

function toLeases(columns: LeaseColumns, isCancelling: readonly boolean[], bytes: BytesReader): Lease[] {
  return columns.seq.map((seq, index) => {
    const record = bytes.take(columns.recordBytes[index]!);
    const lease = decodeLease(record, {
      seq,
      attempt: columns.attempt[index]!,
      fence: columns.fence[index]!,
      crashes: columns.crashes[index]!,
      redrives: columns.redrives[index]!,
      runAt: columns.runAt[index]!,
      expiresAt: columns.expiresAt[index]!,
      startedAt: columns.startedAt[index]!,
      isCancelling: isCancelling[index] ?? false,
    });
    const damage = columns.damage.get(index);
    return damage ? { ...lease, record: new Uint8Array(), damage } : lease;
  });
}

function toSettlementColumns(attempts: readonly Settling[], bytes: BytesWriter): SettlementColumns {
  for (const { ending } of attempts) if (ending) bytes.put(ending);
  return {
    seq: attempts.map(({ settlement }) => settlement.seq),
    fence: attempts.map(({ settlement }) => settlement.fence),
    state: attempts.map(({ settlement }) => states.indexOf(settlement.state)),
    attempt: attempts.map(({ settlement }) => settlement.attempt),
    crashes: attempts.map(({ settlement }) => settlement.crashes),
    runAt: attempts.map(({ settlement }) => settlement.runAt),
    startedAt: attempts.map(({ settlement }) => settlement.startedAt),
    finishedAt: attempts.map(({ settlement }) => settlement.finishedAt),
    deadReason: attempts.map(({ settlement: { deadReason } }) => deadReason && deadReasons.indexOf(deadReason)),
    isPast: attempts.map(({ settlement: { outcome } }) => (outcome === "succeeded" ? 0 : 1)),
    endingBytes: attempts.map(({ ending }) => ending?.length ?? -1),
  };
}

function toStored(answer: StoredAnswer, bytes: BytesReader): StoredJob {
  const record = bytes.take(answer.recordBytes);
  return decodeStored(record, answer.standing, takeEnding(answer, bytes));
}

function takeEnding({ endingBytes }: StoredAnswer, bytes: BytesReader): Uint8Array | null {
  return endingBytes < 0 ? null : bytes.take(endingBytes);
}
