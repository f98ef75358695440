/** What must hold when the faults have stopped and everything has come to rest. */
import type { WholeJob } from "../../../src/job/job.ts";
import type { Clients } from "./clients.ts";
import type { Content } from "./disk.ts";
import type { Entry, Ledger } from "./ledger.ts";
import { channels, clients as names, type Setting } from "./plan.ts";
import type { Record } from "./record.ts";
import type { Server } from "./server.ts";

export type EndParts = {
  readonly record: Record;
  readonly ledger: Ledger;
  readonly clients: Clients;
  readonly content: Content;
  readonly setting: Setting;
  readonly server: Server;
  /** Jobs that ended a process of their own. */
  readonly convictable: ReadonlySet<string>;
  /** Whether two processes have had the store at once: then each one's count of the backlog is its own. */
  readonly isShared: boolean;
};

export async function judgeEnd(parts: EndParts): Promise<void> {
  const { record, ledger, clients, content, server } = parts;
  record.check("I18", server.isServing(), () => "the last process does not serve");
  record.check("I18", clients.isIdle(), () => "a client waits for an answer");
  await judgeCounts(parts);
  for (const entry of ledger.entries.values()) {
    const { id, client } = entry.job;
    const stored = await content.store.get({ client, id });
    judgeJob(entry, stored, parts);
  }
  for (const client of names) {
    judgeRate(client, parts);
    for (const channel of channels) {
      const read = { client, channel, afterCursor: 0, limit: 1, maxBytes: 1 };
      const { lastCursor } = await content.store.results(read);
      const delivered = clients.delivered(client, channel);
      record.check("I10", delivered === lastCursor, () => `${client}/${channel}: ${delivered} of ${lastCursor} came`);
    }
  }
}

/** Counters are the rows, in the store and in the engine. */
async function judgeCounts({ record, ledger, content, server, isShared }: EndParts): Promise<void> {
  const { pools } = await content.store.counts();
  const counters: { [name: string]: number } = {};
  for (const { pool, ...states } of pools) {
    for (const [state, count] of Object.entries(states)) if (count > 0) counters[`${pool} ${state}`] = count;
  }
  let [queued, running] = [0, 0];
  for (const { pool, QUEUED, RUNNING } of pools) {
    queued += QUEUED;
    running += RUNNING;
    const believed = server.engine.backlog.queued(pool);
    if (!isShared)
      record.check("I19", believed === QUEUED, () => `the backlog of ${pool} is ${believed}, and ${QUEUED} wait`);
  }
  for (const { state, isRemoved, job } of ledger.entries.values()) {
    if (isRemoved || state === "QUEUED" || state === "RUNNING") continue;
    const stored = await content.store.get({ client: job.client, id: job.id });
    if (!stored) continue; // pruned
    record.check("I6", stored.state === state, () => `is ${stored.state} and ended as ${state}`, job.id);
  }
  record.write({ kind: "at-rest", client: "", queued, running });
  const held = server.engine.running();
  record.check("I18", held === 0, () => `${held} jobs run, and the queue is empty`);
  record.count("I19");
}

function judgeJob(entry: Entry, stored: WholeJob | null, { record, clients, convictable }: EndParts): void {
  const { job, ends, redrives, isRemoved } = entry;
  const { id, client } = job;
  const end = ends.find((each) => each.redrives === redrives);
  record.check("I1", end !== undefined || isRemoved, () => `accepted, and is ${entry.state} at the end`, id);
  const result = clients.results.get(id);
  if (job.channel === null) {
    record.check("I15", result === undefined, () => "its result was not wanted, and came", id);
  } else if (result && end && result.redrives === redrives) {
    record.check("I6", result.state === end.state, () => `delivered as ${result.state}, ended as ${end.state}`, id);
  }
  if (!stored || stored.state !== "DEAD") return;
  judgeLetter(stored, record);
  judgePoison(stored, record, convictable);
  if (job.channel === null || redrives > 0) return;
  const history = stored.history.map(({ attempt, outcome, failure }) => ({
    number: attempt,
    outcome,
    reason: failure.reason,
  }));
  // an attempt that was never begun counts for nothing, and its end is told all the same
  const begun = stored.deadReason === "expired" ? history.filter(({ number }) => number <= stored.attempts) : history;
  if (!entry.wasReleased) record.write({ kind: "dead-letter", client, id, attempts: stored.attempts, history: begun });
}

/** Only a job that ends its own process is poison; that of a server is no proof, however often it dies. */
function judgePoison({ id, deadReason }: WholeJob, { check }: Record, convictable: EndParts["convictable"]): void {
  const isRight = deadReason !== "poison" || convictable.has(id);
  check("I22", isRight, () => "DEAD as poison, and never ended a process of its own", id);
}

/** Its last failure is why it is dead, and each attempt that counts is told. */
function judgeLetter({ id, history, failure, attempts, redrives, deadReason }: WholeJob, { check }: Record): void {
  check("I20", deadReason !== null && failure !== null, () => "DEAD, and does not say why", id);
  const lastLife = history.slice(history.findLastIndex(({ attempt }) => attempt === 1));
  const told = new Set(lastLife.map(({ attempt }) => attempt));
  const isWhole = Array.from({ length: attempts }, (_, index) => index + 1).every((attempt) => told.has(attempt));
  check("I20", isWhole || redrives > 0, () => `had ${attempts} attempts and tells of ${[...told].join(", ")}`, id);
}

/** Over every window, no more is admitted than the burst and what the rate allows; also across restarts. */
function judgeRate(client: string, { record, clients, setting, isShared }: EndParts): void {
  if (!setting.rate || isShared) return; // each process has its own limiter
  const { perSecond, burst } = setting.rate;
  const admitted = (clients.admitted.get(client) ?? []).toSorted((one, other) => one.atMs - other.atMs);
  for (const [first, { atMs: from }] of admitted.entries()) {
    let jobs = 0;
    for (const { atMs, jobs: more } of admitted.slice(first)) {
      jobs += more;
      const allowed = burst + (perSecond * (atMs - from)) / 1_000;
      const text = () =>
        `${client}: ${jobs} jobs in ${Math.round(atMs - from)} ms, and ${allowed.toFixed(1)} are allowed`;
      record.check("I11", jobs <= allowed + 1e-6, text);
    }
  }
}
