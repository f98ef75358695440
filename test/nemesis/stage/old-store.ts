/**
 * A store as the first version of Millpond wrote it, with the history of how it came to be: results that nobody
 * acknowledged, dead jobs, jobs that wait. What is written here never changes: those files are out in the world.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import type { Event, FinalState, Intent } from "../history/event.ts";
import { now } from "../history/log.ts";
import type { Random } from "../random.ts";
import type { Channel } from "./read-out.ts";

const applicationId = 0x4d696c6c;
const task = "nemesis.hash";
const states = { QUEUED: 0, SUCCEEDED: 2, DEAD: 3 } as const;
/** Longer payloads lay in a table of their own. */
const inlineBytes = 2_048;

type OldJob = {
  readonly seq: number;
  readonly intent: Intent;
  readonly state: keyof typeof states;
  readonly cursor: number | null;
};

/** Makes the store in `dataDir`; resolves with what its clients had been told. */
export function makeOldStore(
  root: string,
  dataDir: string,
  jobs: number,
  { client, channel }: Channel,
  random: Random,
): Event[] {
  mkdirSync(dataDir, { recursive: true });
  const db = new DatabaseSync(join(dataDir, "millpond.sqlite"));
  const events: Event[] = [{ at: now(), client, kind: "open", channel, stream: "old", after: 0 }];
  const count = { QUEUED: 0, SUCCEEDED: 0, DEAD: 0 };
  let last = 0;
  db.prepare("PRAGMA journal_mode = wal").get();
  db.exec(readFileSync(join(root, "src", "store", "sqlite", "thread", "001.sql"), "utf8"));
  db.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = 1; BEGIN`);
  for (let seq = 1; seq <= jobs; seq++) {
    const state = random.pick(["QUEUED", "SUCCEEDED", "SUCCEEDED", "SUCCEEDED", "DEAD"] as const);
    const cursor = state === "QUEUED" ? null : ++last;
    count[state] += 1;
    const id = `01890000-0000-7000-8000-${String(seq).padStart(12, "0")}`;
    const input = `old ${seq} ${"x".repeat(random.isLucky(0.1) ? random.integer(0, 6_000) : 20)}`;
    const intent: Intent = {
      ...{ id, key: null, channel, input, maxAttempts: 4, failures: state === "DEAD" ? 99 : 0 },
      ...{ isPermanent: state === "DEAD", lastsMs: 0, notBefore: null, retry: null },
    };
    events.push(...tell({ seq, intent, state, cursor }, client));
    insert(db, { seq, intent, state, cursor }, client);
  }
  db.prepare("INSERT INTO channel VALUES (1, ?, ?, ?, 0, 0)").run(client, channel, last);
  db.prepare("INSERT INTO pool_count VALUES ('cpu', ?, 0, ?, ?, 0)").run(count.QUEUED, count.SUCCEEDED, count.DEAD);
  db.prepare("UPDATE last_seq SET value = ?").run(jobs);
  db.exec("COMMIT");
  db.close();
  return events;
}

const runOf = (seq: number) => `old-${seq}`;
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
const reason = "told_to_fail";

function tell({ seq, intent, state, cursor }: OldJob, client: string): Event[] {
  const at = now();
  const { id, channel } = intent;
  const run = runOf(seq);
  const isGood = state === "SUCCEEDED";
  const events: Event[] = [
    { at, client, kind: "submit", job: intent },
    { at, client, kind: "accepted", id, as: id },
  ];
  if (cursor === null) return events;
  return [
    ...events,
    { at, kind: "began", id, attempt: 1, run, pid: 1, thread: 1 },
    { at, kind: "finished", run, how: isGood ? "returned" : "threw" },
    {
      ...{ at, client, kind: "result", channel, stream: "old", cursor, id, state: state as FinalState, attempts: 1 },
      ...{ redrives: 0, sha256: isGood ? sha256(intent.input) : null, run: isGood ? run : null },
      reason: isGood ? null : reason,
    },
  ];
}

function insert(db: DatabaseSync, { seq, intent, state, cursor }: OldJob, client: string): void {
  const { id, failures, isPermanent, input } = intent;
  const bytes = Buffer.from(JSON.stringify({ failures, isPermanent, text: input }));
  const isGood = state === "SUCCEEDED";
  const output = isGood ? Buffer.from(JSON.stringify({ run: runOf(seq), sha256: sha256(input) })) : null;
  const failure = state === "DEAD" ? JSON.stringify({ reason, message: "as it was asked to", retryable: false }) : null;
  const identity = `${id}\n${client}\n${task}\n`;
  const head = crc32(`${identity}${isGood ? 1 : ""}\n\n${failure ?? ""}`);
  const at = Math.floor(now());
  const cells: { [name: string]: string | number | Uint8Array | null } = {
    ...{ seq, id, client, channel: 1, pool: "cpu", task, state: states[state], attempt: cursor === null ? 0 : 1 },
    ...{ max_attempts: 4, fence: cursor === null ? 0 : 1, crashes: 0, run_at: at, submitted_at: at, trace: null },
    ...{ started_at: cursor && at, finished_at: cursor && at, cursor, owner: null },
    ...{ input_kind: 1, input_type: "", input: bytes.length > inlineBytes ? null : bytes },
    ...{ input_crc: crc32(bytes, crc32(`${identity}1\n`)), output_kind: isGood ? 1 : null },
    ...{ output_type: isGood ? "" : null, output, output_crc: output ? crc32(output, head) : cursor && head, failure },
  };
  const names = Object.keys(cells);
  db.prepare(`INSERT INTO job (${names.join()}) VALUES (${names.map((name) => `:${name}`).join()})`).run(cells);
  if (bytes.length > inlineBytes) db.prepare("INSERT INTO payload (id, bytes) VALUES (?, ?)").run(2 * seq, bytes);
}
