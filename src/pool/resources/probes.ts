/** Schedules the probes of resources: one thread probes each at the start, and then only while there is a problem. */
import type { Clock } from "../../clock.ts";
import type { ToThread } from "./protocol.ts";

export type Probes = {
  /** A thread can probe these resources. */
  join(thread: Prober, resources: readonly string[]): void;
  leave(thread: Prober): void;
  /** The thread has finished its probe; `isCut`: an attempt ended it early. */
  probed(thread: Prober, resource: string, isCut: boolean): void;
  /** A part of the resource has a problem, reported by any thread. */
  onProblem(resource: string): void;
  stop(): void;
};

export type Prober = { send(message: ToThread): void };

/** How long one probe may take. */
export const probeMs = 10_000;
/** Time after `probeMs` until another thread is asked: the first may be blocked by a job. */
const slackMs = 5_000;
/** The pause after the first probe that found a problem; doubles with each further one in a row. */
const pauseMs = 1_000;
const longestPauseMs = 30_000;

type Plan = {
  /** The threads that can probe; asked in turn. */
  readonly threads: Prober[];
  asked: Prober | undefined;
  failures: number;
  cancel: (() => void) | undefined;
};

export function createProbes(clock: Clock, hasProblem: (resource: string) => boolean): Probes {
  const plans = new Map<string, Plan>();

  function ask(resource: string, plan: Plan): void {
    plan.cancel?.();
    plan.cancel = undefined;
    const thread = plan.threads.shift() as Prober; // a plan has at least one thread
    plan.threads.push(thread);
    plan.asked = thread;
    plan.cancel = clock.after(probeMs + slackMs, () => ask(resource, plan));
    thread.send({ kind: "probe", resource });
  }

  function askLater(resource: string, plan: Plan): void {
    plan.cancel?.();
    const ms = Math.min(pauseMs * 2 ** plan.failures, longestPauseMs);
    plan.failures += 1;
    plan.cancel = clock.after(ms, () => ask(resource, plan));
  }

  return {
    join(thread, names) {
      for (const name of names) {
        const plan = plans.get(name) ?? { threads: [], asked: undefined, failures: 0, cancel: undefined };
        plans.set(name, plan);
        const isFirst = plan.threads.push(thread) === 1;
        if (isFirst) ask(name, plan);
      }
    },
    leave(thread) {
      for (const [name, plan] of plans) {
        const at = plan.threads.indexOf(thread);
        if (at >= 0) plan.threads.splice(at, 1);
        if (plan.threads.length === 0) {
          plan.cancel?.();
          plans.delete(name); // the next thread that joins is asked
        } else if (plan.asked === thread) ask(name, plan);
      }
    },
    probed(thread, resource, isCut) {
      const plan = plans.get(resource);
      if (plan?.asked !== thread) return; // a late answer: another thread was asked since
      plan.cancel?.();
      plan.cancel = undefined;
      plan.asked = undefined;
      if (isCut || hasProblem(resource)) askLater(resource, plan);
      else plan.failures = 0;
    },
    onProblem(resource) {
      const plan = plans.get(resource);
      if (plan && !plan.cancel) askLater(resource, plan);
    },
    stop() {
      for (const plan of plans.values()) plan.cancel?.();
      plans.clear();
    },
  };
}
