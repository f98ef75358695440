import { idBytes } from "../../../job/id.ts";
import { bindingOf, createRowWriter, rowsPerStatement } from "../integrity/checked-rows.ts";
import { orNull, type Take, textOfId } from "../thread/columns.ts";
import type { Sql } from "../thread/connection.ts";
import { type Calls, QUEUED, type SubmissionColumns, type Verbs } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";
import { jobColumns, toColumns } from "./job-rows.ts";
import type { FreshJob } from "./ready-queue.ts";

const SQLITE_CONSTRAINT_UNIQUE = 2067;

/** Undefined: it is accepted. */
type Answer = ReturnType<Calls["submit"]["answer"]["get"]>;
type Job = { -readonly [K in keyof FreshJob]: FreshJob[K] } & {
  readonly id: Uint8Array;
  readonly task: number;
  readonly submittedAt: number;
  readonly key: string | null;
  readonly content: Uint8Array | null;
};

/** Stores new jobs, and describes the existing ones of repeated submits. */
export function createSubmit(sql: Sql, { channels, counters, keys, names, readyQueue, recordOf, sound }: Tables) {
  const rows = createRowWriter(sql, "INSERT INTO job", jobColumns, ["id", "record", "rest"]);
  const find = sql<[seq: number, client: number, channel: number, cursor: number | null]>`
    SELECT job.seq, job.client, job.channel, cursor FROM job LEFT JOIN ended ON ended.seq = job.seq WHERE job.id = ?`;

  /** Stores jobs in one statement. False: none is stored, because one has the id of an existing job. */
  function store(jobs: readonly Job[]): boolean {
    const first = counters.nextSeq();
    for (const [index, job] of jobs.entries()) {
      job.seq = first + index;
      const { seq, client, channel, pool, task, priority, runAt, expiresAt, submittedAt, id } = job;
      const [head, rest] = toColumns(job.record);
      const numbers = [seq, client, channel, pool, task, priority, runAt, expiresAt, submittedAt];
      rows.add(numbers, [id, head, rest], bindingOf(head, id));
    }
    try {
      rows.flush();
    } catch (error) {
      if ((error as { errcode?: number }).errcode !== SQLITE_CONSTRAINT_UNIQUE) throw error;
      return false;
    }
    for (const job of jobs) {
      const { seq, pool, priority, runAt, expiresAt, submittedAt } = job;
      readyQueue.add([pool, 0, priority, runAt, seq, expiresAt], job);
      counters.takeSeq(seq);
      counters.observe(submittedAt);
      counters.add(pool, QUEUED, 1);
    }
    return true;
  }

  function storeOne(job: Job, output: Uint8Array[]): Answer {
    const { id, key, client, submittedAt } = job;
    const used = key === null ? undefined : keys.find(client, key, submittedAt);
    if (!used && !isLate(job) && store([job])) {
      if (key !== null) keys.take(client, key, id, submittedAt, job.content!);
      return undefined;
    }
    const sameId = find.get(id);
    if (sameId) return sameId[1] === client ? answerWith("id", id, sameId, undefined, output) : { kind: "taken" };
    return used ? answerWith("key", used.id, find.get(used.id), used.content, output) : { kind: "late" };
  }

  /** `row`: the job with that id, if it still exists. */
  function answerWith(
    by: "id" | "key",
    id: Uint8Array,
    row: ReturnType<typeof find.get>,
    remembered: Uint8Array | undefined,
    output: Uint8Array[],
  ): Answer {
    const content = remembered ?? sound({ seq: row![0], isOwn: true, isRight: true }, recordOf(row![0])).record;
    output.push(content);
    // results without a channel are not read
    const cursor = row && channels.byId(row[2])?.name ? row[3] : null;
    return { kind: "known", by, id: textOfId(id), cursor, contentBytes: content.length };
  }

  function jobsOf(request: SubmissionColumns, take: Take): Job[] {
    const { client, task, pool, channel, priority, runAt, expiresAt, submittedAt, key } = request;
    const [clients, tasks, pools] = [client, task, pool].map(({ texts }) => texts.map(names.of)) as [
      number[],
      number[],
      number[],
    ];
    const ids = take(priority.length * idBytes);
    const jobs: Job[] = [];
    for (let index = 0; index < priority.length; index += 1) {
      const owner = clients[client.places[index]!]!;
      jobs.push({
        seq: 0,
        id: ids.subarray(index * idBytes, (index + 1) * idBytes),
        record: take(request.recordBytes[index]!),
        content: (key?.[index] ?? null) === null ? null : take(request.contentBytes[index]!),
        client: owner,
        channel: channels.of(owner, channel.texts[channel.places[index]!]!).id,
        pool: pools[pool.places[index]!]!,
        task: tasks[task.places[index]!]!,
        priority: priority[index]!,
        runAt: runAt[index]!,
        expiresAt: orNull(expiresAt[index]!),
        submittedAt: submittedAt[index]!,
        key: key?.[index] ?? null,
      });
    }
    return jobs;
  }

  return {
    submit: (request, take, output) => {
      const answers: Calls["submit"]["answer"] = new Map();
      const jobs = jobsOf(request, take);
      for (let at = 0; at < jobs.length; at += rowsPerStatement) {
        const some = jobs.slice(at, at + rowsPerStatement);
        const isOrdinary = some.every((job) => job.key === null && !isLate(job));
        if (isOrdinary && some.length === rowsPerStatement && store(some)) continue;
        for (const [index, job] of some.entries()) {
          const answer = storeOne(job, output);
          if (answer) answers.set(at + index, answer);
        }
      }
      return answers;
    },
  } satisfies Partial<Verbs>;
}

function isLate({ expiresAt, runAt }: Job): boolean {
  return expiresAt !== null && expiresAt <= runAt;
}
