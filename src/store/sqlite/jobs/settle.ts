import { states } from "../../../job/ending.ts";
import { isSuspect } from "../../../job/job.ts";
import { judge } from "../../../job/transition.ts";
import type { Settled } from "../../store.ts";
import { orNull } from "../thread/columns.ts";
import { QUEUED, RUNNING, type SettlementColumns, type Verbs } from "../thread/protocol.ts";
import type { Tables } from "../thread/tables.ts";

/** Writes settlements, with the result of each job that becomes final. */
export function createSettle({ counters, ended, history, leases, progress, readyQueue }: Tables) {
  function settleOne(all: SettlementColumns, index: number, ending: Uint8Array | null): Settled {
    const [seq, fence, state] = [all.seq[index]!, all.fence[index]!, all.state[index]!];
    const job = leases.running.get(seq);
    const verdict = judge(job, { fence, state: states[state] as "QUEUED" });
    if (!job || verdict !== "written") return verdict;
    const [attempts, crashes, finishedAt] = [all.attempt[index]!, all.crashes[index]!, all.finishedAt[index]!];
    const startedAt = orNull(all.startedAt[index]!);
    const past = ending !== null && all.isPast[index] === 1 ? history.add(seq, fence, ending) : 0;
    if (state === QUEUED) {
      const runAt = all.runAt[index]!;
      progress.write([seq, runAt, attempts, fence, crashes, job.redrives, startedAt], job.isRight);
      readyQueue.add([job.pool, isSuspect({ crashes }) ? 1 : 0, job.priority, runAt, seq, job.expiresAt]);
      counters.add(job.pool, QUEUED, 1);
    } else {
      const deadReason = orNull(all.deadReason[index]!);
      const bytes = job.bytes + past;
      ended.add({ ...job, bytes, state, attempts, crashes, startedAt, finishedAt, deadReason }, ending!);
      if (fence > 1) progress.remove(seq);
    }
    leases.end(seq);
    counters.observe(finishedAt);
    counters.add(job.pool, RUNNING, -1);
    return "written";
  }

  return {
    settle: (settlements, take) => {
      const answers = new Map<number, Settled>();
      for (let index = 0; index < settlements.seq.length; index += 1) {
        const size = orNull(settlements.endingBytes[index]!);
        const answer = settleOne(settlements, index, size === null ? null : take(size));
        if (answer !== "written") answers.set(index, answer);
      }
      for (const rows of [progress, ended]) rows.flush();
      return answers;
    },
  } satisfies Partial<Verbs>;
}
