import type { DatabaseSync } from "node:sqlite";
import { isSound } from "../../../job/wire.ts";
import { createRowWriter, rowsPerStatement } from "../integrity/checked-rows.ts";
import { substituteRecord } from "../integrity/substitutes.ts";
import type { BytesReader, BytesWriter } from "../thread/bytes.ts";
import { idBytes, type TextColumn, textOfId } from "../thread/columns.ts";
import { prepareQuery } from "../thread/connection.ts";
import { type Calls, QUEUED, type SubmissionColumns } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";
import { jobColumns, toColumns, toRecord } from "./job-rows.ts";

const SQLITE_CONSTRAINT_UNIQUE = 2067;

type Answer = Calls["submit"]["answer"][number];
type Bytes = Uint8Array<ArrayBuffer>;

type Job = {
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

/** Stores jobs that are new, and says of the others what they are. */
export function createSubmit(db: DatabaseSync, tables: Tables) {
  const { channels, counters, deadlines, keys, known, names, readyQueue } = tables;
  const rows = createRowWriter(db, "INSERT INTO job", jobColumns, ["id", "record", "rest"]);
  const find = prepareQuery<[seq: number, client: number, channel: number, cursor: number | null]>(
    db,
    "SELECT job.seq, client, job.channel, cursor FROM job LEFT JOIN ended ON ended.seq = job.seq WHERE id = ?",
  );
  const stored = prepareQuery<[Bytes, Bytes | null]>(db, "SELECT record, rest FROM job WHERE seq = ?");

  /** Stores jobs of which each is new as a rule, sixteen at once; finds out what they are when one of them is not. */
  function storeAll(jobs: readonly Job[], answers: Answer[], output: BytesWriter): void {
    if (jobs.length === 0) return;
    const first = counters.nextSeq();
    for (const [index, job] of jobs.entries()) add(first + index, job);
    try {
      rows.flush();
    } catch (error) {
      if ((error as { errcode?: number }).errcode !== SQLITE_CONSTRAINT_UNIQUE) throw error;
      for (const job of jobs) answers.push(storeOne(job, output));
      return;
    }
    for (const [index, job] of jobs.entries()) {
      enqueue(first + index, job);
      answers.push(null);
    }
  }

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
    return null;
  }

  function add(seq: number, job: Job): void {
    const { client, channel, pool, task, priority, runAt, expiresAt, submittedAt, id, record } = job;
    const owner = names.of(client);
    const { id: channelId } = channels.of(owner, channel);
    // biome-ignore format: one line per kind of column
    rows.add([seq, owner, channelId, names.of(pool), names.of(task), priority, runAt, expiresAt, submittedAt],
      [id, ...toColumns(record)]);
  }

  function enqueue(seq: number, job: Job): void {
    const pool = names.of(job.pool);
    readyQueue.add([pool, 0, job.priority, job.runAt, seq]);
    if (job.expiresAt !== null) deadlines.add(pool, job.expiresAt, seq);
    counters.takeSeq(seq);
    counters.stored(job.submittedAt);
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
    let content = remembered ?? toRecord(...stored.get(row![0])!);
    if (!isSound(content)) content = row ? substituteRecord(known(row[0])) : new Uint8Array();
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
    const answers: Answer[] = [];
    let ordinary: Job[] = [];
    for (let index = 0; index < request.priority.length; index += 1) {
      const job = jobAt(request, index, input);
      const isNext = isOrdinary(job);
      if (isNext) ordinary.push(job);
      if (!isNext || ordinary.length === rowsPerStatement) {
        storeAll(ordinary, answers, output);
        ordinary = [];
      }
      if (!isNext) answers.push(storeOne(job, output));
    }
    storeAll(ordinary, answers, output);
    readyQueue.flush();
    return answers;
  };
}

const taken: Answer = { kind: "taken" };
const late: Answer = { kind: "late" };

function isLate({ expiresAt, runAt }: Job): boolean {
  return expiresAt !== null && expiresAt <= runAt;
}

function jobAt(request: SubmissionColumns, index: number, input: BytesReader): Job {
  return {
    id: input.take(idBytes),
    record: input.take(request.recordBytes[index]!),
    content: request.key?.[index] == null ? null : input.take(request.contentBytes[index]!),
    client: textAt(request.client, index),
    channel: textAt(request.channel, index),
    pool: textAt(request.pool, index),
    task: textAt(request.task, index),
    priority: request.priority[index]!,
    runAt: request.runAt[index]!,
    expiresAt: request.expiresAt[index]!,
    submittedAt: request.submittedAt[index]!,
    key: request.key?.[index] ?? null,
  };
}

function textAt({ texts, places }: TextColumn, index: number): string {
  return texts[places[index]!]!;
}
