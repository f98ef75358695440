/** A plan and what it broke, as lines for people. */
import type { Violation } from "../invariants/invariant.ts";
import type { JobPlan, Plan, Step } from "./plan.ts";

export function shownViolations(violations: readonly Violation[]): string[] {
  return violations.map(({ invariant, text, job, channel }) => {
    const about = job === undefined ? (channel ?? "") : `job ${numberOf(job)}`;
    return `  ${invariant} ${about === "" ? "" : `(${about}) `}${text}`;
  });
}

/** The server's setting first, then one line for each step. */
export function shownSteps({ setting, steps }: Plan): string[] {
  return [`  setting ${JSON.stringify(setting)}`, ...steps.map((step) => `  +${step.afterMs} ms  ${shownStep(step)}`)];
}

function shownStep(step: Step): string {
  switch (step.kind) {
    case "submit":
      return `submit ${step.jobs.map(shownJob).join(", ")}`;
    case "again":
    case "cancel":
    case "redrive":
    case "remove":
      return `${step.kind} job ${numberOf(step.job.id)}`;
    case "reopen":
    case "cancelAll":
    case "redriveAll":
      return `${step.kind} of ${step.client}`;
    case "crash":
    case "power":
    case "stop":
    case "io":
      return `${step.kind}, down for ${step.downMs} ms`;
    case "stall":
    case "freeze":
    case "jump":
      return `${step.kind} of ${step.ms} ms`;
    case "takeover":
      return `takeover, frozen for a lease and ${step.frozenMs} ms, both awake within ${step.sharedMs} ms`;
    case "murder":
      return `murder in pool ${step.pool}`;
    case "wait":
      return "wait";
  }
}

/** What is out of the ordinary of it. */
function shownJob({ id, client, channel, pool, maxAttempts, runs, ...rest }: JobPlan): string {
  const { key, delayMs, deadlineMs, timeoutMs, priority, retry } = rest;
  const odd = [
    ...(channel === "default" ? [] : [`channel ${channel ?? "none"}`]),
    ...(key === "" ? [] : [`key ${key}`]),
    ...(delayMs === 0 ? [] : [`delay ${delayMs}`]),
    ...(deadlineMs === null ? [] : [`deadline ${deadlineMs}`]),
    ...(timeoutMs === null ? [] : [`timeout ${timeoutMs}`]),
    ...(priority === 0 ? [] : [`priority ${priority}`]),
    ...(retry === null ? [] : [`retry ${retry.baseMs} ${retry.jitter}`]),
    ...runs.map(({ how, ms, obeys }) => `${how} after ${ms.toFixed(1)}${obeys ? "" : " deaf"}`),
  ];
  return `job ${numberOf(id)} of ${client} in ${pool}, ${maxAttempts} attempts [${odd.join("; ")}]`;
}

const numberOf = (id: string) => Number.parseInt(id.slice(-12), 16);
