/** SIGINT, SIGTERM and SIGHUP, counted: the first asks, the second insists, the third ends the process. */
import { exitAtOnce } from "../exit.ts";

/** The exit code of a process that a signal ended: 128 + its number, as shells have it. SIGHUP comes when a terminal is closed. */
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
  // once the process exits nothing of this file runs, and threads may keep it from ending: a signal ends it by itself then
  process.once("exit", () => {
    for (const signal of endSignals) process.off(signal, received);
  });
  return { first: first.promise, second: second.promise };
}
