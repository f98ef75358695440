import type { DatabaseSync } from "node:sqlite";
import { isSound } from "../../../job/wire.ts";
import { bindingOf, createRowWriter, rowsPerStatement } from "../integrity/checked-rows.ts";
import type { BytesReader, BytesWriter } from "../thread/bytes.ts";
import { idBytes } from "../../../job/id.ts";
import { orNull, type TextColumn, textOfId } from "../thread/columns.ts";
import { prepareQuery } from "../thread/connection.ts";
import { type Calls, QUEUED, type SubmissionColumns } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";
import { jobColumns, toColumns } from "./job-rows.ts";

const SQLITE_CONSTRAINT_UNIQUE = 2067;

type Answers = Calls["submit"]["answer"];
type Answer = ReturnType<Answers["get"]>;
type Job = {
  /** Its place in the call. */
  readonly index: number;
  readonly id: Uint8Array;
  readonly client: string;
  /** Empty: its result is discarded. */
  readonly channel: string;
  readonly pool: string;
  readonly task: string;
  readonly priority: number;
  readonly runAt: number;
  readonly expiresAt: number | null;
  readonly submittedAt: number;
  readonly key: string | null;
  readonly record: Uint8Array;
  readonly content: Uint8Array | null;
};

/** Stores jobs that are new, and answers what the others are. */
export function createSubmit(db: DatabaseSync, tables: Tables) {
  const { channels, counters, damage, keys, names, readyQueue, recordOf, substituteOf } = tables;
  const rows = createRowWriter(db, "INSERT INTO job", jobColumns, ["id", "record", "rest"]);
  const find = prepareQuery<[seq: number, client: number, channel: number, cursor: number | null]>(
    db,
    "SELECT job.seq, job.client, job.channel, cursor FROM job LEFT JOIN ended ON ended.seq = job.seq WHERE job.id = ?",
  );

  /** Stores jobs that are new as a rule, a statement's rows at once or one; finds out what they are when one is not. */
  function storeOrdinary(jobs: readonly Job[], answers: Answers, output: BytesWriter): void {
    const first = counters.nextSeq();
    for (const [index, job] of jobs.entries()) add(first + index, job);
    try {
      rows.flush();
    } catch (error) {
      if ((error as { errcode?: number }).errcode !== SQLITE_CONSTRAINT_UNIQUE) throw error;
      for (const job of jobs) answerOne(job, answers, output);
      return;
    }
    for (const [index, job] of jobs.entries()) enqueue(first + index, job);
  }

  function answerOne(job: Job, answers: Answers, output: BytesWriter): void {
    const answer = storeOne(job, output);
    if (answer) answers.set(job.index, answer);
  }

  /** Undefined: it is accepted. */
  function storeOne(job: Job, output: BytesWriter): Answer {
    const { id, key, client, submittedAt } = job;
    const sameId = find.get(id);
    if (sameId) return names.find(client) === sameId[1] ? answerWith("id", id, sameId, undefined, output) : taken;
    const used = key === null ? undefined : keys.find(client, key, submittedAt);
    if (used) return answerWith("key", used.id, find.get(used.id), used.content, output);
    if (isLate(job)) return late;
    const seq = counters.nextSeq();
    add(seq, job);
    rows.flush();
    enqueue(seq, job);
    if (key !== null) keys.take(client, key, id, submittedAt, job.content!);
    return undefined;
  }

  function add(seq: number, job: Job): void {
    const { client, channel, pool, task, priority, runAt, expiresAt, submittedAt, id, record } = job;
    const owner = names.of(client);
    const { id: channelId } = channels.of(owner, channel);
    const [head, rest] = toColumns(record);
    // biome-ignore format: one line per kind of column
    rows.add([seq, owner, channelId, names.of(pool), names.of(task), priority, runAt, expiresAt, submittedAt],
      [id, head, rest], bindingOf(head, id));
  }

  function enqueue(seq: number, job: Job): void {
    const { priority, runAt, expiresAt, submittedAt, record } = job;
    const [client, pool] = [names.of(job.client), names.of(job.pool)];
    const channel = channels.of(client, job.channel).id;
    readyQueue.add([pool, 0, priority, runAt, seq, expiresAt], {
      seq,
      client,
      channel,
      pool,
      priority,
      runAt,
      expiresAt,
      record,
    });
    counters.takeSeq(seq);
    counters.record(submittedAt);
    counters.add(pool, QUEUED, 1);
  }

  /** `row`: the job with that id, if it is still there. */
  function answerWith(
    by: "id" | "key",
    id: Uint8Array,
    row: ReturnType<typeof find.get>,
    remembered: Uint8Array | undefined,
    output: BytesWriter,
  ): Answer {
    let content = remembered ?? recordOf(row![0]);
    if (!isSound(content)) {
      damage.found("input", textOfId(id));
      content = substituteOf(row![0]).record;
    }
    output.put(content);
    // results without a channel are not read
    const cursor = row && channels.nameOf(row[2]) !== null ? row[3] : null;
    return { kind: "known", by, id: textOfId(id), cursor, contentBytes: content.length };
  }

  /** Whether all that its row names is known: what a job names that is not stored is not made. */
  function isOrdinary(job: Job): boolean {
    if (job.key !== null || isLate(job)) return false;
    const client = names.find(job.client);
    if (client === undefined || names.find(job.pool) === undefined || names.find(job.task) === undefined) return false;
    return channels.find(client, job.channel) !== undefined;
  }

  return (request: SubmissionColumns, input: BytesReader, output: BytesWriter): Calls["submit"]["answer"] => {
    const answers: Answers = new Map();
    const ids = input.take(request.priority.length * idBytes);
    let ordinary: Job[] = [];
    const storeGathered = () => {
      if (ordinary.length === rowsPerStatement) storeOrdinary(ordinary, answers, output);
      else for (const job of ordinary) storeOrdinary([job], answers, output);
      ordinary = [];
    };
    for (let index = 0; index < request.priority.length; index += 1) {
      const job = jobAt(request, index, ids, input);
      const isNext = isOrdinary(job);
      if (isNext) ordinary.push(job);
      if (isNext && ordinary.length < rowsPerStatement) continue;
      storeGathered();
      if (!isNext) answerOne(job, answers, output);
    }
    storeGathered();
    return answers;
  };
}

const taken: Answer = { kind: "taken" };
const late: Answer = { kind: "late" };

function isLate({ expiresAt, runAt }: Job): boolean {
  return expiresAt !== null && expiresAt <= runAt;
}

function jobAt(request: SubmissionColumns, index: number, ids: Uint8Array, input: BytesReader): Job {
  return {
    index,
    id: ids.subarray(index * idBytes, (index + 1) * idBytes),
    record: input.take(request.recordBytes[index]!),
    content: (request.key?.[index] ?? null) === null ? null : input.take(request.contentBytes[index]!),
    client: textAt(request.client, index),
    channel: textAt(request.channel, index),
    pool: textAt(request.pool, index),
    task: textAt(request.task, index),
    priority: request.priority[index]!,
    runAt: request.runAt[index]!,
    expiresAt: orNull(request.expiresAt[index]!),
    submittedAt: request.submittedAt[index]!,
    key: request.key?.[index] ?? null,
  };
}

function textAt({ texts, places }: TextColumn, index: number): string {
  return texts[places[index]!]!;
}
