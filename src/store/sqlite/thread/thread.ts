/** Entry of the store's thread: the one writer of the file. */
import type { DatabaseSync } from "node:sqlite";
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { systemClock } from "../../../clock.ts";
import { messageOf, StartError } from "../../../errors.ts";
import { answerHeapRequests } from "../../../heap-snapshots.ts";
import { createCheckpoint } from "./checkpoint.ts";
import { isDiskFull } from "./disk-full.ts";
import { openConnection, openWitness } from "./connection.ts";
import { createExecutor } from "./executor.ts";
import { createFreePages } from "./free-pages.ts";
import { startIdleWork } from "./idle-work.ts";
import { assertUsable } from "../integrity/inspect.ts";
import { type FileLock, lockFile } from "./lock.ts";
import { type CommitCounter, openCommitCounter } from "../integrity/commit-counter.ts";
import { migrate, newestVersion } from "./migrate.ts";
import type { Answers, Batch, FromThread, ToThread } from "./protocol.ts";

const port = parentPort!;
const say = (said: FromThread, transfer: ArrayBuffer[] = []) => port.postMessage(said, transfer);

const onDamage = (damaged: string) => say({ damaged });

/** What a store has open. The witness is closed by itself, and only when all has gone well. */
type Opened = { readonly db: DatabaseSync; readonly counter: CommitCounter; readonly lock: FileLock };

function close({ db, counter, lock }: Partial<Opened>): void {
  db?.close();
  counter?.close();
  lock?.release();
}

function serve(opened: Opened, witness: DatabaseSync): void {
  let hasCommitted = false;
  const executor = createExecutor(opened.db, {
    onCommit(commits) {
      opened.counter.write(commits);
      hasCommitted = true;
    },
    onDamage,
  });
  const checkpoint = createCheckpoint(opened.db);
  executor.record();
  opened.counter.sync();

  function end(): void {
    idleWork.stop();
    close(opened);
    port.close();
  }

  /** What the disk has now is not known. The other side hears why, and the witness stays open to the thread's end. */
  function fail(error: unknown): void {
    say({ failed: messageOf(error) });
    end();
  }

  function execute(batches: readonly Batch[]): Answers[] {
    hasCommitted = false;
    const startedMs = systemClock.monotonicMs();
    const [first, ...others] = executor.execute(batches);
    if (!first || !hasCommitted) return first ? [first, ...others] : [];
    const calls = batches.reduce((sum, { commands }) => sum + commands.length, 0);
    return [{ ...first, commit: { tookMs: systemClock.monotonicMs() - startedMs, calls } }, ...others];
  }

  function answer(said: readonly ToThread[]): void {
    const batches = said.filter((one): one is Batch => one !== "close");
    // What has arrived by now shares one commit.
    if (batches.length > 0) for (const answers of execute(batches)) say(answers, buffersOf(answers));
    checkpoint.whenLong();
    if (!said.includes("close")) return;
    executor.record();
    if (checkpoint.now()) witness.close(); // with something left SQLite would try by itself, and not tell
    end();
  }

  const idleWork = startIdleWork({
    freePages: createFreePages(opened.db, onDamage),
    ...{ checkpoint, clock: systemClock, onError: fail },
    answerCalls() {
      const said = received(port);
      if (said.length > 0) answer(said);
      return said.length > 0;
    },
  });
  port.on("message", (first: ToThread) => {
    idleWork.called();
    try {
      answer([first, ...received(port)]);
    } catch (error) {
      fail(error);
    }
  });
}

function received(from: MessagePort): ToThread[] {
  const found: ToThread[] = [];
  for (let next = receiveMessageOnPort(from); next; next = receiveMessageOnPort(from)) found.push(next.message);
  return found;
}

function upgrade(db: DatabaseSync): void {
  const startedAt = systemClock.monotonicMs();
  const from = migrate(db);
  if (from === 0 || from === newestVersion) return;
  say({ upgraded: { from, to: newestVersion, tookMs: Math.round(systemClock.monotonicMs() - startedAt) } });
}

function start(given: string): void {
  const lock = lockFile(given);
  const { path } = lock;
  let opened: Partial<Opened> = { lock };
  try {
    assertUsable(path);
    const db = openConnection(path);
    opened = { lock, db };
    const witness = openWitness(path);
    upgrade(db);
    const counter = openCommitCounter(path, onDamage);
    opened = { lock, db, counter };
    serve({ lock, db, counter }, witness);
  } catch (error) {
    close(opened); // before the witness, which the thread's end closes
    throw error;
  }
}

answerHeapRequests(systemClock.now);
const { path } = workerData as { readonly path: string };
try {
  start(path);
  say("ready");
} catch (error) {
  if (isDiskFull(error))
    say({ refused: `cannot open the store ${path}: its disk is full: make room, and start again` });
  else if (error instanceof StartError) say({ refused: error.message });
  else throw error;
}

function buffersOf({ bytes }: Answers): ArrayBuffer[] {
  return bytes.flatMap((each) => each?.buffer ?? []);
}
