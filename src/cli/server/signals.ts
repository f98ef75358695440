/** Counts SIGINT, SIGTERM and SIGHUP: the first stops gracefully, the second forces the stop, the third ends the process. */
import { exitAtOnce } from "../exit.ts";

/** Exit codes of a process ended by a signal: 128 + its number, as in shells. SIGHUP is sent when a terminal is closed. */
const exitCodes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

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
  const endSignals = Object.keys(exitCodes) as EndSignal[];
  for (const signal of endSignals) process.on(signal, received);
  // while the process exits, no handler runs, but threads may keep it from ending: restores the default, so that a
  // signal ends it
  process.once("exit", () => {
    for (const signal of endSignals) process.off(signal, received);
  });
  return { first: first.promise, second: second.promise };
}
