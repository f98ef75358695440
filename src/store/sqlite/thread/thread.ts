/** Entry point of the store's thread, the only writer of the file. */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { systemClock } from "../../../clock.ts";
import { messageOf, StartError } from "../../../errors.ts";
import { answerHeapRequests } from "../../../heap-snapshots.ts";
import { openCommitCounter } from "../integrity/commit-counter.ts";
import { assertUsable } from "../integrity/inspect.ts";
import { createCheckpoint } from "./checkpoint.ts";
import { openConnection, openWitness } from "./connection.ts";
import { createExecutor } from "./executor.ts";
import { createFreePages } from "./free-pages.ts";
import { createIdleWork } from "./idle-work.ts";
import { lockFile } from "./lock.ts";
import { migrate, newestVersion } from "./migrate.ts";
import type { Answers, Batch, FromThread, ToThread } from "./protocol.ts";
import { isDiskFull } from "./start-errors.ts";

const port = parentPort!;
const { path: given } = workerData as { readonly path: string };
const send = (message: FromThread, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);
const onDamage = (damaged: string) => send({ damaged });
const { monotonicMs } = systemClock;

/**
 * Closes what is open, in reverse order. Not the witness, which is closed after a successful stop, and otherwise by the
 * end of the thread.
 */
const closers: (() => void)[] = [];
const close = () => {
  for (const one of closers.splice(0).toReversed()) one();
};

function open() {
  const { path, release } = lockFile(given);
  closers.push(release);
  assertUsable(path);
  const db = openConnection(path);
  closers.push(() => db.close());
  const witness = openWitness(path);
  const startedMs = monotonicMs();
  const from = migrate(db);
  if (from !== 0 && from !== newestVersion) {
    send({ upgraded: { from, to: newestVersion, tookMs: Math.round(monotonicMs() - startedMs) } });
  }
  const counter = openCommitCounter(path, onDamage);
  closers.push(counter.close);
  return { db, witness, counter };
}

function serve({ db, witness, counter }: ReturnType<typeof open>): void {
  let hasCommitted = false;
  const executor = createExecutor(db, {
    onCommit(commits) {
      counter.write(commits);
      hasCommitted = true;
    },
    onDamage,
  });
  const checkpoint = createCheckpoint(db);
  executor.record();
  counter.sync();

  function end(): void {
    void idleWork.stop();
    close();
    port.close();
  }

  /** Reports a failure, after which the state of the disk is unknown. The witness stays open until the thread ends. */
  function fail(error: unknown): void {
    send({ failed: messageOf(error) });
    end();
  }

  function execute(batches: readonly Batch[]): void {
    hasCommitted = false;
    const startedMs = monotonicMs();
    const [first, ...others] = executor.execute(batches);
    if (!first) return;
    const calls = batches.reduce((sum, { commands }) => sum + commands.length, 0);
    const commit = hasCommitted ? { commit: { tookMs: monotonicMs() - startedMs, calls } } : {};
    for (const answers of [{ ...first, ...commit }, ...others]) send(answers, buffersOf(answers));
  }

  /** Everything that has arrived shares one commit. */
  function answer(messages: readonly ToThread[]): void {
    execute(messages.filter((message) => message !== "close"));
    checkpoint.whenLong();
    if (!messages.includes("close")) return;
    executor.record();
    if (checkpoint.now()) witness.close(); // otherwise SQLite would move the rest by itself, without reporting a failure
    end();
  }

  const freePages = createFreePages(db, onDamage);
  const idleWork = createIdleWork({ freePages, checkpoint, clock: systemClock, onError: fail });
  void idleWork.start();
  port.on("message", (message: ToThread) => {
    idleWork.called();
    const messages = [message];
    for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port)) messages.push(next.message);
    try {
      answer(messages);
    } catch (error) {
      fail(error);
    }
  });
}

function buffersOf({ bytes }: Answers): ArrayBuffer[] {
  return bytes.flatMap((each) => each?.buffer ?? []);
}

answerHeapRequests(systemClock.now);
try {
  serve(open());
  send("ready");
} catch (error) {
  close(); // before the witness, which is closed by the end of the thread
  if (isDiskFull(error))
    send({ refused: `cannot open the store ${given}: its disk is full: make room, and start again` });
  else if (error instanceof StartError) send({ refused: error.message });
  else throw error;
}
