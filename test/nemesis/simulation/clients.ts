/** Careful clients: they submit, cancel, read and acknowledge, and send again what was not answered. */
import type { Admitted } from "../../../src/engine/admit/admission.ts";
import type { MillpondError } from "../../../src/errors.ts";
import type { StoredResult } from "../../../src/job/job.ts";
import { anyJob } from "../../store/sample.ts";
import type { Random } from "../random.ts";
import { channels, clients as names, type JobPlan } from "./plan.ts";
import type { Record } from "./record.ts";
import { draftOf, type Server } from "./server.ts";
import type { World } from "./world.ts";

export type Clients = {
  submit(jobs: readonly JobPlan[]): void;
  again(job: JobPlan): void;
  cancel(job: JobPlan): void;
  /** Every job of the client that waits or runs. */
  cancelAll(client: string): void;
  redrive(job: JobPlan): void;
  /** Every dead letter of the client. */
  redriveAll(client: string): void;
  remove(job: JobPlan): void;
  /** Closes a client's streams and opens them again. */
  reopen(client: string): void;
  /** A process serves: from now on all goes to this one. */
  connect(server: Server): void;
  /** Nothing is unanswered. */
  isIdle(): boolean;
  /** Positions that were delivered, by client and channel. */
  delivered(client: string, channel: string): number;
  /** Results as they came last, by job. */
  readonly results: ReadonlyMap<string, StoredResult & { readonly run: string | null }>;
  /** Admissions by client: when, and of how many jobs. */
  readonly admitted: ReadonlyMap<string, readonly { readonly atMs: number; readonly jobs: number }[]>;
};

export type ClientsParts = {
  readonly world: World;
  readonly record: Record;
  readonly random: Random;
  /** Whether jobs are forgotten soon after their result was acknowledged. */
  readonly prunes: boolean;
  /** A job was sent, and must not begin before. */
  readonly onSent: (id: string, dueAt: number) => void;
};

const neverAborted = new AbortController().signal;

type Line = { delivered: number; acked: number; streams: number; close: () => void };

export function createClients({ world, record, random, prunes, onSent }: ClientsParts): Clients {
  /** Jobs without an answer, by client. */
  const unanswered = new Map<string, Map<string, JobPlan>>(names.map((name) => [name, new Map()]));
  const lines = new Map<string, Line>();
  const results = new Map<string, StoredResult & { readonly run: string | null }>();
  const admitted = new Map<string, { atMs: number; jobs: number }[]>(names.map((name) => [name, []]));
  const sent = new Map<string, JobPlan>();
  /** Jobs that may be gone from the store: sent again, they would be new ones. */
  const gone = new Set<string>();
  /** When each job was sent first: its deadline is counted from then. */
  const firstSent = new Map<string, number>();
  let server: Server | undefined;

  for (const name of names) {
    for (const channel of channels) lines.set(`${name}/${channel}`, { delivered: 0, acked: 0, streams: 0, close() {} });
  }

  /** A request on its way: it reaches the process when that runs, and never when it is dead by then. */
  function reach(act: (server: Server) => Promise<void>): void {
    const to = server;
    if (to?.isServing() !== true) return;
    world.after(random.next(), () => void act(to).catch(expectRefusal), to.life);
  }

  /** How many calls that cancel all of a client's jobs are under way. */
  const cancelling = new Map<string, number>();

  function send(client: string, jobs: readonly JobPlan[]): void {
    for (const job of jobs) {
      unanswered.get(client)!.set(job.id, job);
      const isAgain = sent.has(job.id);
      sent.set(job.id, job);
      if (job.channel === null) continue;
      if (isAgain) record.write({ kind: "again", client, id: job.id });
      else record.write({ kind: "submit", client, job: intentOf(job) });
      // a call that cancels all and is not answered yet may mean this one too
      if (cancelling.has(client)) record.write({ kind: "cancel", client, id: job.id });
    }
    reach(async (to) => {
      const atMs = world.nowMs();
      for (const { id, delayMs } of jobs) {
        if (!firstSent.has(id)) firstSent.set(id, to.trueNow());
        onSent(id, to.trueNow() + delayMs);
      }
      const drafts = jobs.map((job) => draftOf(job, firstSent.get(job.id)!));
      const answers = await to.engine.admission.admit(client, drafts).catch(refusalOf);
      if (isRefusal(answers)) return refusedAll(client, jobs, answers);
      let passed = 0;
      for (const [index, answer] of answers.entries()) passed += answered(client, jobs[index]!, answer) ? 1 : 0;
      if (passed > 0) admitted.get(client)!.push({ atMs, jobs: passed });
    });
  }

  function answered(client: string, job: JobPlan, answer: Admitted): boolean {
    const { id } = job;
    unanswered.get(client)!.delete(id);
    if (answer.kind !== "refused") {
      if (job.channel !== null) record.write({ kind: "accepted", client, id, as: answer.id });
      return true;
    }
    record.count(`refused ${answer.error.reason}`);
    if (job.channel !== null) record.write({ kind: "refused", client, id, reason: answer.error.reason });
    return false;
  }

  function refusedAll(client: string, jobs: readonly JobPlan[], { reason }: MillpondError): void {
    record.count(`refused ${reason}`);
    if (reason === "store_failed") return; // nobody knows: it is sent again
    for (const { id, channel } of jobs) {
      if (channel !== null) record.write({ kind: "refused", client, id, reason });
      if (reason !== "draining") unanswered.get(client)!.delete(id);
    }
  }

  async function follow(to: Server, client: string, channel: string): Promise<void> {
    const line = lines.get(`${client}/${channel}`)!;
    const about = { client, channel } as const;
    const after = random.pick([0, line.acked, line.delivered]);
    line.streams += 1;
    const number = line.streams;
    const stream = `${client}/${channel}#${number}`;
    let read = 0;
    record.write({ ...about, kind: "open", stream, after });
    const reader = await to.engine.readers.open({ ...about, afterCursor: after, stopAtEnd: false }).catch(refusalOf);
    if (isRefusal(reader)) {
      const isRight = reader.reason !== "cursor_from_the_future";
      record.check("I9", isRight, () => `${stream}: position ${after} was delivered and is not known any more`);
      return;
    }
    // the client has only one stream of a channel, and hears nothing of the one before
    const isOld = () => line.streams !== number;
    line.close = reader.close;
    while (!isOld()) {
      const batch = await reader.next(random.integer(1, 10));
      if (batch.length === 0 || isOld()) break;
      for (const result of batch) deliver(line, stream, client, channel, result);
      read = batch.at(-1)!.cursor;
      if (random.isLucky(0.4))
        void ack(to, client, channel, random.isLucky(0.7) ? read : random.integer(0, read)).catch(expectRefusal);
    }
    reader.close();
  }

  function deliver(line: Line, stream: string, client: string, channel: string, result: StoredResult): void {
    const { cursor, id, state, attempts, redrives, failure, output } = result;
    line.delivered = Math.max(line.delivered, cursor);
    const { sha256 = null, run = null } = output
      ? (JSON.parse(Buffer.from(output.bytes).toString()) as { sha256?: string; run?: string })
      : {};
    results.set(id, { ...result, run });
    record.write({
      ...{ kind: "result", client, channel, stream, cursor, id, state, attempts, redrives },
      ...{ sha256, run, reason: failure?.reason ?? null },
    });
  }

  async function ack(to: Server, client: string, channel: string, cursor: number): Promise<void> {
    const line = lines.get(`${client}/${channel}`)!;
    record.write({ kind: "ack", client, channel, cursor });
    const [answer] = await to.store.ack([{ client, channel, cursor }]);
    record.check(
      "I9",
      answer?.kind === "acknowledged",
      () => `position ${cursor} of ${channel} cannot be acknowledged`,
    );
    if (answer?.kind !== "acknowledged") return;
    line.acked = Math.max(line.acked, answer.cursor);
    record.write({ kind: "acked", client, channel, cursor: answer.cursor });
    to.engine.readers.acknowledged(client, channel, answer.cursor);
  }

  function openAll(client: string): void {
    for (const channel of channels) reach((to) => follow(to, client, channel));
  }

  return {
    ...{ results, admitted },
    submit: (jobs) => send(jobs[0]!.client, jobs),
    again(job) {
      // one that was answered may be done, acknowledged and forgotten by the time it arrives
      const mayBeForgotten = gone.has(job.id) || (prunes && !unanswered.get(job.client)!.has(job.id));
      if (sent.has(job.id) && !mayBeForgotten) send(job.client, [job]);
    },
    cancel({ id, client, channel }) {
      reach(async (to) => {
        if (channel !== null) record.write({ kind: "cancel", client, id });
        const [answer] = await to.engine.canceller.cancel(client, [id]);
        const says = answer?.kind.toUpperCase() ?? "NOTHING";
        if (channel !== null) record.write({ kind: "cancel-answered", client, id, says });
      });
    },
    cancelAll(client) {
      reach(async (to) => {
        for (const { id, channel, client: owner } of sent.values()) {
          if (channel !== null && owner === client) record.write({ kind: "cancel", client, id });
        }
        cancelling.set(client, (cancelling.get(client) ?? 0) + 1);
        await to.engine.canceller.cancelWhere(client, anyJob, { dryRun: false, signal: neverAborted });
        const others = cancelling.get(client)! - 1;
        if (others > 0) cancelling.set(client, others);
        else cancelling.delete(client);
      });
    },
    redriveAll(client) {
      reach(async (to) => {
        await to.engine.deadLetters.redriveWhere(client, anyJob, {
          dryRun: false,
          signal: neverAborted,
          perSecond: 100,
        });
      });
    },
    redrive({ id, client }) {
      reach(async (to) => void (await to.engine.deadLetters.redrive(client, [id], 0)));
    },
    remove({ id, client }) {
      if (unanswered.get(client)!.has(id)) return;
      gone.add(id);
      reach(async (to) => void (await to.engine.deadLetters.remove(client, [id])));
    },
    reopen(client) {
      for (const channel of channels) lines.get(`${client}/${channel}`)!.close();
      openAll(client);
    },
    connect(to) {
      server = to;
      cancelling.clear();
      for (const name of names) {
        const jobs = [...unanswered.get(name)!.values()];
        for (const job of jobs) {
          if (results.has(job.id) || gone.has(job.id)) unanswered.get(name)!.delete(job.id);
          else send(name, [job]);
        }
        openAll(name);
      }
    },
    isIdle: () => [...unanswered.values()].every(({ size }) => size === 0),
    delivered: (client, channel) => lines.get(`${client}/${channel}`)!.delivered,
  };
}

/** Times are not the checker's business: the machine's clock may have jumped, and the ledger knows by how much. */
function intentOf({ id, key, channel, input, maxAttempts }: JobPlan) {
  return {
    ...{ id, key: key === "" ? null : key, channel: channel!, input, maxAttempts, failures: 0, isPermanent: false },
    ...{ lastsMs: 0, notBefore: null, retry: null },
  };
}

function refusalOf(error: unknown): MillpondError {
  if (isRefusal(error)) return error;
  throw error;
}

/** Told by its shape: a copy of the code has a class of its own. */
function isRefusal(answer: unknown): answer is MillpondError {
  return answer instanceof Error && "reason" in answer;
}

/** The answer to a call whose failure says nothing: the client will see what became of it. */
function expectRefusal(error: unknown): void {
  refusalOf(error);
}
