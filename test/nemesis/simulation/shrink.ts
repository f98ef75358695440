/** Makes a failing plan short: leaves out what the failure does not need, as long as something is left to leave out. */
import type { Violation } from "../invariants/invariant.ts";
import type { JobPlan, Plan, Step } from "./plan.ts";
import { type Run, simulate, type Under } from "./simulate.ts";

export type Shrunk = { readonly plan: Plan; readonly run: Run; readonly tries: number };

/** A simulation takes some milliseconds: this bounds the search to a few seconds. */
const maxTries = 600;

/** Keeps what breaks one of the invariants that the plan broke at first. */
export async function shrink(failing: Plan, under: Under = {}): Promise<Shrunk> {
  const first = await simulate(failing, under);
  const broken = new Set(first.violations.map(({ invariant }) => invariant));
  let best = { plan: failing, run: first };
  let tries = 0;

  async function isBetter(steps: readonly Step[]): Promise<boolean> {
    if (tries >= maxTries) return false;
    tries += 1;
    const plan = { ...failing, steps };
    const run = await simulate(plan, under);
    if (!run.violations.some(({ invariant }: Violation) => broken.has(invariant))) return false;
    best = { plan, run };
    return true;
  }

  for (let before = -1; before !== sizeOf(best.plan.steps); ) {
    before = sizeOf(best.plan.steps);
    for (let size = best.plan.steps.length >> 1; size >= 1; size >>= 1) {
      for (let start = 0; start < best.plan.steps.length; ) {
        const { steps } = best.plan;
        // the time that a step took is left, so that the others still meet
        if (!(await isBetter(without(steps, start, size)))) start += size;
      }
    }
    for (let index = 0; index < best.plan.steps.length; index += 1) {
      for (const simpler of simplerSteps(best.plan.steps[index]!)) await isBetter(best.plan.steps.with(index, simpler));
    }
  }
  return { ...best, tries };
}

function without(steps: readonly Step[], start: number, size: number): Step[] {
  const left = [...steps.slice(0, start), ...steps.slice(start + size)];
  const next = left[start];
  if (!next) return left;
  const afterMs = steps.slice(start, start + size + 1).reduce((sum, step) => sum + step.afterMs, 0);
  return left.with(start, { ...next, afterMs });
}

const sizeOf = (steps: readonly Step[]) => JSON.stringify(steps).length;

/** The same step with less in it. */
function* simplerSteps(step: Step): Generator<Step> {
  if (step.afterMs > 0) yield { ...step, afterMs: 0 };
  if (step.kind !== "submit") return;
  if (step.jobs.length > 1)
    for (const left of step.jobs) yield { ...step, jobs: step.jobs.filter((job) => job !== left) };
  for (const [index, job] of step.jobs.entries()) {
    for (const simpler of simplerJobs(job)) yield { ...step, jobs: step.jobs.with(index, simpler) };
  }
}

function* simplerJobs(job: JobPlan): Generator<JobPlan> {
  if (job.runs.length > 0) yield { ...job, runs: [] };
  if (job.runs.length > 1) yield { ...job, runs: job.runs.slice(0, -1) };
  if (job.delayMs > 0) yield { ...job, delayMs: 0 };
  if (job.deadlineMs !== null) yield { ...job, deadlineMs: null };
  if (job.timeoutMs !== null) yield { ...job, timeoutMs: null };
  if (job.priority !== 0) yield { ...job, priority: 0 };
  if (job.key !== "") yield { ...job, key: "" };
  if (job.retry !== null) yield { ...job, retry: null };
}
