import { createSignal, type Signal } from "../../../lifecycle.ts";
import { type BytesReader, type BytesWriter, createBytesReader, createBytesWriter, joinBytes } from "./bytes.ts";
import type { Answers, Batch, Call, Calls, Command } from "./protocol.ts";

/**
 * Batches on their way at once. With two, the store's thread finds the next one waiting when it has committed one, and
 * does not stand idle while the answer crosses.
 */
const maxInFlight = 2;

const noBytes = new Uint8Array();

export type Batches = {
  /**
   * Asks for a command and resolves with its answer, decoded. Commands take effect in the order of these calls.
   * `encode` runs at once, `decode` when the answer is there; what they put and take are the payloads' bytes.
   */
  call<K extends Call, T>(
    name: K,
    encode: (bytes: BytesWriter) => Calls[K]["request"],
    decode: (answer: Calls[K]["answer"], bytes: BytesReader) => T,
  ): Promise<T>;
  /** Takes the answers of the oldest batch in flight. */
  answered(answers: Answers): void;
  /** Rejects every call that was not answered, and every later one. */
  fail(error: Error): void;
  /** Rejects every later call with this error, and resolves when those before were answered or rejected. */
  end(error: Error): Promise<void>;
};

type Waiting = {
  readonly command: Command;
  readonly bytes: BytesWriter;
  readonly decode: (answer: never, bytes: BytesReader) => unknown;
  readonly signal: Signal<unknown>;
};

/**
 * Gathers calls into batches. When nothing is in flight, what is asked for in one turn goes at the turn's end, so that
 * it shares a commit; otherwise what has piled up goes when an answer comes back. Nothing waits for a batch to fill.
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
    post({ commands: batch.map(({ command }) => command), bytes: joinBytes(batch.map(({ bytes }) => bytes)) });
  }

  function tellIdle(): void {
    if (refusal && gathered.length === 0 && inFlight.length === 0) idle.fire();
  }

  return {
    async call(name, encode, decode) {
      if (refusal) throw refusal;
      const bytes = createBytesWriter();
      const command = { call: name, request: encode(bytes) } as Command;
      const signal = createSignal<unknown>();
      gathered.push({ command, bytes, decode, signal });
      if (!willSend) queueMicrotask(send);
      willSend = true;
      return signal.promise as Promise<ReturnType<typeof decode>>;
    },
    answered: ({ answers, bytes }) => {
      const batch = inFlight.shift() ?? [];
      send();
      batch.forEach(({ decode, signal }, index) => {
        try {
          signal.fire(decode(answers[index] as never, createBytesReader(bytes[index] ?? noBytes)));
        } catch (error) {
          signal.fail(error); // the others have bytes of their own
        }
      });
      tellIdle();
    },
    fail: (error) => {
      refusal = error;
      for (const { signal } of [...inFlight.splice(0).flat(), ...gathered.splice(0)]) signal.fail(error);
      tellIdle();
    },
    end: (error) => {
      refusal ??= error;
      tellIdle();
      return idle.promise;
    },
  };
}
