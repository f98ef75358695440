/** Entry of the store's thread: the one writer of the file. */
import type { DatabaseSync } from "node:sqlite";
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { messageOf, StartError } from "../../errors.ts";
import { openConnection, openWitness } from "./connection.ts";
import { createExecutor } from "./executor.ts";
import { assertUsable } from "./inspect.ts";
import { type FileLock, lockFile } from "./lock.ts";
import { type Mark, openMark } from "./mark.ts";
import { migrate } from "./migrate.ts";
import type { Batch, FromThread, ToThread } from "./protocol.ts";

const port = parentPort!;
const say = (said: FromThread, transfer: ArrayBuffer[] = []) => port.postMessage(said, transfer);

const onDamage = (damaged: string) => say({ damaged });

function serve(db: DatabaseSync, witness: DatabaseSync, mark: Mark, lock: FileLock): void {
  const executor = createExecutor(db, { onCommit: mark.write, onDamage });
  executor.record();
  mark.sync();

  function end(): void {
    db.close();
    mark.close();
    lock.release();
    port.close();
  }

  port.on("message", (first: ToThread) => {
    const said = [first, ...received(port)];
    const batches = said.filter((one): one is Batch => one !== "close");
    try {
      // What has arrived by now shares one commit.
      if (batches.length > 0) for (const answers of executor.execute(batches)) say(answers, [answers.bytes.buffer]);
      if (said.includes("close")) {
        executor.record();
        witness.close();
        end();
      }
    } catch (error) {
      // What the disk has now is not known. The other side hears why, and the witness stays open to the thread's end.
      say({ failed: messageOf(error) });
      end();
    }
  });
}

function received(from: MessagePort): ToThread[] {
  const found: ToThread[] = [];
  for (let next = receiveMessageOnPort(from); next; next = receiveMessageOnPort(from)) found.push(next.message);
  return found;
}

function start(path: string): void {
  const lock = lockFile(path);
  try {
    assertUsable(path);
    const db = openConnection(path);
    migrate(db);
    serve(db, openWitness(path), openMark(path, onDamage), lock);
  } catch (error) {
    lock.release();
    throw error;
  }
}

try {
  start((workerData as { readonly path: string }).path);
  say("ready");
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  say({ refused: error.message });
}
