/** SIGINT and SIGTERM, counted: the first asks, the second insists, the third ends the process. */

import { exitAtOnce } from "./exit.ts";

/** What an exit code means that a signal brought about: 128 + its number, as shells have it. */
const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const;

/** A signal that asks a process to end. */
export type EndSignal = keyof typeof exitCodes;

export type EndSignals = {
  /** Resolves with the first signal. */
  readonly first: Promise<EndSignal>;
  /** Resolves with the second. */
  readonly second: Promise<EndSignal>;
};

/** Listens for signals until the process ends. At the third it calls `onThird` and ends the process at once. */
export function listenForSignals(onThird: (signal: EndSignal, exitCode: number) => void): EndSignals {
  const first = Promise.withResolvers<EndSignal>();
  const second = Promise.withResolvers<EndSignal>();
  let count = 0;
  const received = (signal: EndSignal) => {
    count++;
    if (count === 1) first.resolve(signal);
    else if (count === 2) second.resolve(signal);
    else {
      onThird(signal, exitCodes[signal]);
      exitAtOnce(exitCodes[signal]);
    }
  };
  process.on("SIGINT", received);
  process.on("SIGTERM", received);
  return { first: first.promise, second: second.promise };
}
