import type { Lease, StoredJob } from "../../../job/job.ts";
import { deadReasons, decodeResult, states } from "../../../job/ending.ts";
import { decodeLease } from "../../../job/record.ts";
import { decodeStored, decodeWhole } from "../../../job/stored-job.ts";
import type { Settling, StoreCalls, Submission, Submitted } from "../../store.ts";
import type { Batches } from "./batches.ts";
import { bytesOfIds, orNull, type Take, toNumberColumn, toNumberColumns, toTextColumn } from "./columns.ts";
import {
  type Calls,
  type LeaseColumns,
  plainCalls,
  type SettlementColumns,
  type StoredAnswer,
  type SubmissionColumns,
} from "./protocol.ts";

/** The port's methods, except `close`, as commands in batches. Runs in the main thread. */
export function createCalls({ call }: Batches): Omit<StoreCalls, "close"> {
  const same = <T>(answer: T) => answer;
  const plain = plainCalls.map((name) => [name, (request: never) => call(name, request, same)]);
  return {
    ...(Object.fromEntries(plain) as Pick<StoreCalls, (typeof plainCalls)[number]>),
    submit: (jobs) =>
      call(
        "submit",
        toSubmissionColumns(jobs),
        (answers, take) => jobs.map((_, index) => toSubmitted(answers.get(index), take)),
        payloadsOf(jobs),
      ),
    lease: (request) =>
      call("lease", request, ({ leases, nextDueAt }, take) => ({ leases: toLeases(leases, take), nextDueAt })),
    settle: (attempts) =>
      call(
        "settle",
        toSettlementColumns(attempts),
        (answers) => attempts.map((_, index) => answers.get(index) ?? "written"),
        attempts.flatMap(({ ending }) => ending ?? []),
      ),
    expired: (request) =>
      call("expired", request, ({ leases, holders }, take) =>
        toLeases(leases, take).map((lease, index) => ({ ...lease, ...holders[index]! })),
      ),
    get: (request) =>
      call("get", request, (answer, take) => {
        if (!answer) return null;
        const record = take(answer.recordBytes).slice();
        const result = takeEnding(answer, take)?.slice() ?? null;
        const history = answer.historyBytes.map(take);
        return withDamage(decodeWhole(record, answer.standing, result, history), answer);
      }),
    list: (request) =>
      call("list", request, ({ jobs, nextSeq }, take) => ({ jobs: jobs.map((job) => toStored(job, take)), nextSeq })),
    results: (request) =>
      call("results", request, ({ cursors, endingBytes, ...positions }, take) => ({
        results: cursors.map((cursor, index) => decodeResult(take(endingBytes[index]!), cursor)),
        ...positions,
      })),
  };
}

function toSubmissionColumns(submissions: readonly Submission[]): SubmissionColumns {
  const jobs = submissions.map(({ job }) => job);
  const hasKeys = jobs.some(({ idempotencyKey }) => idempotencyKey !== null);
  return {
    client: toTextColumn(jobs, ({ client }) => client),
    task: toTextColumn(jobs, ({ task }) => task),
    pool: toTextColumn(jobs, ({ pool }) => pool),
    channel: toTextColumn(jobs, ({ channel }) => channel ?? ""),
    ...toNumberColumns(jobs, ["priority", "runAt", "expiresAt", "submittedAt"]),
    key: hasKeys ? jobs.map(({ idempotencyKey }) => idempotencyKey) : null,
    recordBytes: toNumberColumn(submissions, ({ record }) => record.length),
    contentBytes: toNumberColumn(submissions, ({ content }) => content?.length ?? null),
  };
}

function payloadsOf(submissions: readonly Submission[]): Uint8Array[] {
  const payloads: Uint8Array[] = [bytesOfIds(submissions.map(({ job }) => job.id))];
  for (const { record, content } of submissions) {
    payloads.push(record);
    if (content) payloads.push(content);
  }
  return payloads;
}

const accepted: Submitted = { kind: "accepted" };

function toSubmitted(answer: ReturnType<Calls["submit"]["answer"]["get"]>, take: Take): Submitted {
  if (answer?.kind !== "known") return answer ?? accepted;
  const { contentBytes, ...known } = answer;
  return { ...known, content: take(contentBytes) };
}

function toLeases(columns: LeaseColumns, take: Take): Lease[] {
  const leases: Lease[] = [];
  // no Array.from, whose iterator causes as much garbage as a lease
  for (let index = 0; index < columns.seq.length; index += 1) {
    const lease = decodeLease(take(columns.recordBytes[index]!), {
      seq: columns.seq[index]!,
      attempt: columns.attempt[index]!,
      fence: columns.fence[index]!,
      crashes: columns.crashes[index]!,
      redrives: columns.redrives[index]!,
      runAt: columns.runAt[index]!,
      expiresAt: orNull(columns.expiresAt[index]!),
      startedAt: orNull(columns.lastStartedAt[index]!),
      isCancelling: false,
    });
    const damage = columns.damage.get(index);
    leases.push(damage ? { ...lease, record: new Uint8Array(), damage } : lease);
  }
  return leases;
}

function toSettlementColumns(attempts: readonly Settling[]): SettlementColumns {
  const settlements = attempts.map(({ settlement }) => settlement);
  return {
    ...toNumberColumns(settlements, ["seq", "fence", "attempt", "crashes", "runAt", "startedAt", "finishedAt"]),
    state: toNumberColumn(settlements, ({ state }) => states.indexOf(state)),
    deadReason: toNumberColumn(settlements, ({ deadReason }) => deadReason && deadReasons.indexOf(deadReason)),
    isPast: toNumberColumn(settlements, ({ outcome }) => (outcome === "succeeded" ? 0 : 1)),
    endingBytes: toNumberColumn(attempts, ({ ending }) => ending?.length ?? null),
  };
}

/** Its failure is that of its ending or, without one, of the newest attempt: a head has no other history. */
function toStored(answer: StoredAnswer, take: Take): StoredJob {
  const record = take(answer.recordBytes);
  const [ending = null] = [takeEnding(answer, take), ...answer.historyBytes.map(take)].filter((each) => each !== null);
  return withDamage(decodeStored(record, answer.standing, ending), answer);
}

function withDamage<Job extends StoredJob>(job: Job, { damage }: StoredAnswer): Job {
  return damage ? { ...job, failure: damage } : job;
}

function takeEnding({ endingBytes }: StoredAnswer, take: Take): Uint8Array | null {
  return endingBytes === null ? null : take(endingBytes);
}
