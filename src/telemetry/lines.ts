/** Writes lines to a file in the background, in order. */
import { write } from "node:fs";
import { promisify } from "node:util";
import { systemClock } from "../clock.ts";
import { createSignal, within } from "../lifecycle.ts";

export type LineWriter = {
  /** Queues a line, which ends with its line break. */
  write(line: string): void;
  /** Resolves once every line queued so far is written or lost, after half a second at the latest. */
  written(): Promise<void>;
  /** Number of lines lost so far. */
  lost(): number;
};

/**
 * Bound on the characters that wait to be written. Lines beyond it are lost, so that a pipe nobody reads does not fill
 * the memory.
 */
const maxWaitingChars = 4 * 2 ** 20;
const longestWaitMs = 500;
/** Wait before the next write to a full pipe that another process made non-blocking. */
const retryMs = 10;

const writeSome = promisify(write);

/**
 * Lines that cannot be written are lost: the terminal is closed, the disk is full, or the reader has stopped. `onLost`
 * is called with their number once a line can be written again.
 */
export function createLineWriter(fd: number, onLost: (lines: number) => void): LineWriter {
  let waiting = "";
  let isWriting = false;
  let lost = 0;
  /** Lost lines that `onLost` has reported. */
  let reported = 0;
  let idle = createSignal();

  async function writeAll(text: string): Promise<void> {
    let bytes = Buffer.from(text);
    while (bytes.length > 0) {
      try {
        bytes = bytes.subarray((await writeSome(fd, bytes)).bytesWritten);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code !== "EAGAIN" && code !== "EBUSY") {
          lost += bytes.toString().split("\n").length - 1;
          return;
        }
        const again = createSignal();
        systemClock.after(retryMs, again.fire);
        await again.promise;
      }
    }
    const unreported = lost - reported;
    reported = lost;
    if (unreported > 0) onLost(unreported);
  }

  async function pump(): Promise<void> {
    isWriting = true;
    while (waiting !== "") {
      const text = waiting;
      waiting = "";
      await writeAll(text);
    }
    isWriting = false;
    idle.fire();
    idle = createSignal();
  }

  return {
    lost: () => lost,
    write(line) {
      if (waiting.length + line.length > maxWaitingChars) lost += 1;
      else waiting += line;
      if (!isWriting) void pump();
    },
    async written() {
      if (!isWriting) return;
      await within(systemClock, longestWaitMs, idle.promise);
    },
  };
}
