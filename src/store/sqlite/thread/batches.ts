import { createSignal, type Signal } from "../../../lifecycle.ts";
import { createTake, joinBytes, type Take } from "./columns.ts";
import type { Answers, Batch, Call, Calls, Command } from "./protocol.ts";

/**
 * Bound on pending batches. With two, the store's thread has the next one when it has committed one, and is not idle
 * while the answer is sent.
 */
const maxInFlight = 2;

const noBytes = new Uint8Array();

export type Batches = {
  /**
   * Sends a command with its payloads, and resolves with the decoded answer. Commands take effect in the order of these
   * calls.
   */
  call<K extends Call, T>(
    name: K,
    request: Calls[K]["request"],
    decode: (answer: Calls[K]["answer"], take: Take) => T,
    payloads?: readonly Uint8Array[],
  ): Promise<T>;
  /** The answers of the oldest pending batch have arrived. */
  answered(answers: Answers): void;
  /** Rejects every pending call, and every later one. */
  fail(error: Error): void;
  /** Rejects every later call with this error; resolves once all earlier ones are answered or rejected. */
  end(error: Error): Promise<void>;
};

type Waiting = {
  readonly command: Command;
  readonly payloads: readonly Uint8Array[];
  readonly decode: (answer: never, take: Take) => unknown;
  readonly signal: Signal<unknown>;
};

/**
 * Collects calls into batches. If none is pending, the calls of one turn of the event loop are sent at its end, so that
 * they share a commit; otherwise the collected calls are sent when an answer arrives. No call waits for a batch to
 * fill.
 */
export function createBatches(post: (batch: Batch) => void): Batches {
  let gathered: Waiting[] = [];
  const inFlight: Waiting[][] = [];
  const idle = createSignal();
  let refusal: Error | undefined;
  let willSend = false;

  function send(): void {
    willSend = false;
    if (gathered.length === 0 || inFlight.length >= maxInFlight) return;
    const batch = gathered;
    gathered = [];
    inFlight.push(batch);
    post({
      commands: batch.map(({ command }) => command),
      bytes: joinBytes(batch.flatMap(({ payloads }) => payloads)),
    });
  }

  function fireIfIdle(): void {
    if (refusal && gathered.length === 0 && inFlight.length === 0) idle.fire();
  }

  return {
    async call(name, request, decode, payloads = []) {
      if (refusal) throw refusal;
      const signal = createSignal<unknown>();
      gathered.push({ command: { call: name, request } as Command, payloads, decode, signal });
      if (!willSend) queueMicrotask(send);
      willSend = true;
      return signal.promise as Promise<ReturnType<typeof decode>>;
    },
    answered({ answers, bytes }) {
      const batch = inFlight.shift() ?? [];
      send();
      batch.forEach(({ decode, signal }, index) => {
        try {
          signal.fire(decode(answers[index] as never, createTake(bytes[index] ?? noBytes)));
        } catch (error) {
          signal.fail(error); // other calls are not affected: each has bytes of its own
        }
      });
      fireIfIdle();
    },
    fail(error) {
      refusal = error;
      for (const { signal } of [...inFlight.splice(0).flat(), ...gathered.splice(0)]) signal.fail(error);
      fireIfIdle();
    },
    end(error) {
      refusal ??= error;
      fireIfIdle();
      return idle.promise;
    },
  };
}
