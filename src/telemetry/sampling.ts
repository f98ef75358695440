/** Decides which jobs are traced, before any part of a span is built. */
import type { Clock } from "../clock.ts";
import type { SamplerName } from "./variables.ts";

export type Sampler = {
  /** Whether to trace a job whose caller sends no context. Called for each job of a request, after one `refresh`. */
  begins(traceId: string): boolean;
  /** Whether to trace a job whose caller's context is, or is not, sampled. */
  follows(isSampled: boolean, traceId: string): boolean;
  /** Called once per request: refills the rate's tokens. */
  refresh(): void;
};

/**
 * Follows the caller's decision. Of jobs whose callers send no context, traces at most `perSecond` per second, with a
 * burst of as many.
 */
export function createBoundedSampler(perSecond: number, clock: Clock): Sampler {
  let tokens = perSecond;
  let refilledMs = clock.monotonicMs();
  return {
    begins() {
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
    follows: (isSampled) => isSampled,
    refresh() {
      const now = clock.monotonicMs();
      tokens = Math.min(perSecond, tokens + ((now - refilledMs) / 1_000) * perSecond);
      refilledMs = now;
    },
  };
}

/** One of the standard samplers. `isInRatio`: whether a trace belongs to the configured ratio. */
export function createStandardSampler(name: SamplerName, isInRatio: (traceId: string) => boolean): Sampler {
  const rootName = name.replace("parentbased_", "");
  const root = (traceId: string) => rootName === "always_on" || (rootName === "traceidratio" && isInRatio(traceId));
  return {
    begins: root,
    follows: (isSampled, traceId) => (name === rootName ? root(traceId) : isSampled),
    refresh() {},
  };
}
