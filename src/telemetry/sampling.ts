/** Which jobs are traced, decided before anything of a span is built. */
import type { Clock } from "../clock.ts";
import type { SamplerName } from "./variables.ts";

export type Sampler = {
  /** Whether a job whose caller sends no context is traced. Asked for each of a request's jobs, after one `refresh`. */
  begins(traceId: string): boolean;
  /** Whether a job is traced, depending on whether its caller's context is sampled. */
  follows(isSampled: boolean, traceId: string): boolean;
  /** A new request: renews what the rate allows. */
  refresh(): void;
};

/** Follows the caller. Of jobs whose callers send no context, at most `perSecond` in a second are traced, and as many at once. */
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
