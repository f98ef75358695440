import { createSignal, type Signal } from "../../../lifecycle.ts";
import { createTake, joinBytes, type Take } from "./columns.ts";
import type { Answers, Batch, Call, Calls, Command } from "./protocol.ts";

/**
 * Batches on their way at once. With two, the store's thread finds the next one waiting when it has committed one, and
 * does not stand idle while the answer crosses.
 */
const maxInFlight = 2;

const noBytes = new Uint8Array();

export type Batches = {
  /**
   * Asks for a command, with payloads behind it, and resolves with its answer, decoded. Commands take effect in the order of
   * these calls.
   */
  call<K extends Call, T>(
    name: K,
    request: Calls[K]["request"],
    decode: (answer: Calls[K]["answer"], take: Take) => T,
    payloads?: readonly Uint8Array[],
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
  readonly payloads: readonly Uint8Array[];
  readonly decode: (answer: never, take: Take) => unknown;
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
          signal.fail(error); // the others have bytes of their own
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
