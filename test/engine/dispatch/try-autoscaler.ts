/** An autoscaler of one pool whose jobs only take time, by a clock that the test moves. */
import type { TestContext } from "node:test";
import { type AutoscalerParts, createAutoscaler, type ScaledPool } from "../../../src/engine/dispatch/autoscaler.ts";
import type { Lease } from "../../../src/job/job.ts";
import { createPoolSize } from "../../../src/pool/size.ts";
import { createFakeClock, turn } from "../../support/fake-clock.ts";
import { keptLog, newLease, roomy } from "../../support/samples.ts";

export type TryAutoscaler = {
  readonly min?: number;
  readonly max?: number;
  readonly concurrency?: number;
  readonly tookMs?: number;
  readonly ceilings?: AutoscalerParts["ceilings"];
  readonly store?: AutoscalerParts["store"];
};

export async function tryAutoscaler(t: TestContext, given: TryAutoscaler = {}) {
  const { min = 2, max = 10, concurrency = 1, tookMs = 100, ceilings = roomy.ceilings } = given;
  const clock = createFakeClock();
  const { log, lines } = keptLog();
  const size = createPoolSize({ min, max });
  const has = {
    get target() {
      return size.target();
    },
    isPaused: false,
    isLeasing: true,
    isBehind: false,
    isBroken: false,
    running: 0,
    peak: 0,
    calls: 0,
  };
  /** When each job that waits in the store is due. */
  const queue: number[] = [];
  /** Jobs that the dispatcher holds. */
  const held: Lease[] = [];
  /** Targets as they were set, in order. */
  const targets: number[] = [];

  function startJobs(): void {
    const places = Math.max(has.target, 1) * concurrency;
    while (
      !has.isPaused &&
      has.isLeasing &&
      !has.isBehind &&
      !has.isBroken &&
      has.running < places &&
      queue.length > 0
    ) {
      queue.shift();
      has.running += 1;
      has.peak = Math.max(has.peak, has.running);
      clock.after(tookMs, () => {
        has.running -= 1;
        startJobs();
      });
    }
  }

  const scaled: ScaledPool = {
    pool: {
      ...{ name: "io", concurrency, bounds: size.bounds, target: size.target, canRun: () => !has.isBroken },
      setTarget(workers) {
        size.setTarget(workers);
        targets.push(workers);
      },
    },
    dispatcher: {
      isPaused: () => has.isPaused,
      isLeasing: () => has.isLeasing,
      hint: startJobs,
      mayHaveMore: () => queue.length > 0,
      waiting: () => held,
      chunkPeak() {
        const since = { running: has.running, peak: has.peak };
        has.peak = has.running;
        return since;
      },
    },
  };
  const eligible: AutoscalerParts["store"]["eligible"] = async ({ pools, now }) => {
    has.calls += 1;
    const due = queue.filter((at) => at <= now);
    return pools.map((asked) => ({ jobs: Math.min(due.length, asked.max), oldestAt: due[0] ?? null }));
  };
  const errors: unknown[] = [];
  const autoscaler = createAutoscaler({
    ...{ ...roomy, pools: [scaled], store: given.store ?? { eligible }, clock, log, ceilings },
    isBehind: () => has.isBehind,
    onError(error) {
      errors.push(error);
      return 1_000;
    },
  });
  await autoscaler.start();
  await turn();
  t.after(autoscaler.stop);
  return {
    ...{ autoscaler, clock, lines, resize: size.resize, has, queue, targets, errors },
    submit(jobs: number): void {
      queue.push(...Array.from({ length: jobs }, () => clock.now()));
      startJobs();
      autoscaler.wake();
    },
    /** As `submit`, of a job that a dispatcher holds ready. */
    hold(jobs: number): void {
      const leases = Array.from({ length: jobs }, () => newLease({ runAt: clock.now() }));
      held.push(...leases);
      autoscaler.wake();
    },
    startJobs,
    /** Lets the time pass, `each` before every step of it. */
    async pass(ms: number, each: (passedMs: number) => void = () => {}, stepMs = 10): Promise<void> {
      for (let passed = 0; passed < ms; passed += stepMs) {
        each(passed);
        clock.advance(stepMs);
        await turn();
      }
    },
  };
}

/** How often a sequence of numbers goes the other way. */
export function reversals(numbers: readonly number[]): number {
  const steps = numbers.slice(1).map((number, index) => Math.sign(number - numbers[index]!));
  const moves = steps.filter((step) => step !== 0);
  return moves.slice(1).filter((step, index) => step !== moves[index]).length;
}
