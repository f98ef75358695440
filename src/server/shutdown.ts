/** Graceful shutdown: running jobs get time to finish, are then asked to stop, and every wait is bounded. */
import type { Clock } from "../clock.ts";
import type { Draining } from "../engine/upkeep/draining.ts";
import { createSignal, type Service, stopAll, within } from "../lifecycle.ts";
import type { Log } from "../log.ts";
import type { Pool } from "../pool/pool.ts";

export type Shutdown = {
  /**
   * Drains: running jobs get `drainMs`, then are asked to stop, and after `graceMs` their threads end and the jobs are
   * given back. Resolves once every outcome is written, every available result is sent, and everything is closed. After
   * a failure of the store there is nothing to wait for, and it takes at most `failedMs`. Safe to repeat.
   */
  stop(): Promise<void>;
  /** Like `stop`, but skips the rest of `drainMs`. */
  force(): Promise<void>;
};

export type ShutdownParts = {
  readonly clock: Clock;
  readonly drainMs: number;
  readonly graceMs: number;
  readonly draining: Draining;
  readonly pools: readonly Pick<Pool, "releaseAll" | "destroy">[];
  /**
   * `stop` resolves once no job runs and every outcome is written.
   */
  readonly engine: Pick<Service, "stop">;
  /** Makes all streams send what is available and then end. */
  readonly closeStreams: () => void;
  /** Everything that is stopped after the engine, in the order of its start. */
  readonly others: readonly Service[];
  /** Resolves when the store has failed. */
  readonly failed: Promise<unknown>;
  readonly log: Log;
};

/** Longest time of a stop once the store has failed. */
const failedMs = 1_500;

export function createShutdown(parts: ShutdownParts): Shutdown {
  const { clock, draining, pools, engine, log } = parts;
  const forced = createSignal();
  const failed = createSignal();
  let hasFailed = false;
  let stopping: Promise<void> | undefined;

  void parts.failed.then(() => {
    hasFailed = true;
    forced.fire();
    failed.fire();
  });

  async function drain(): Promise<void> {
    const ended = engine.stop();
    await within(clock, hasFailed ? 0 : parts.drainMs, Promise.race([ended, forced.promise]));
    for (const pool of pools) pool.releaseAll();
    await within(clock, hasFailed ? 0 : parts.graceMs, Promise.race([ended, failed.promise]));
    await Promise.all([ended, ...pools.map((pool) => pool.destroy())]);
  }

  async function stop(): Promise<void> {
    log.info({}, "draining: no more jobs are accepted or started");
    draining.start();
    await stopAll([
      ...parts.others,
      { name: "the streams", start: async () => {}, stop: async () => parts.closeStreams() },
      { name: "the engine", start: async () => {}, stop: drain },
    ]);
    log.info({}, "stopped");
  }

  /** Stops without waiting long: after a failure of the store the process is about to end. */
  async function stopSoon(): Promise<void> {
    const stopped = stop();
    await Promise.race([stopped, failed.promise.then(() => within(clock, failedMs, stopped))]);
  }

  return {
    stop: () => (stopping ??= stopSoon()),
    force() {
      forced.fire();
      return (stopping ??= stopSoon());
    },
  };
}
