/**
 * The number of workers that a pool may have: the bounds, set by operators, and the target within them, set by the
 * autoscaler.
 */

export type Bounds = { readonly min: number; readonly max: number };

export type PoolSize = {
  bounds(): Bounds;
  target(): number;
  /**
   * Number of workers that may be busy at once: 1 if the target is 0, so that the first job need not wait for the
   * autoscaler.
   */
  capacity(): number;
  setTarget(workers: number): void;
  resize(bounds: Bounds): void;
};

/** The target is the upper bound until another one is set. */
export function createPoolSize(first: Bounds): PoolSize {
  let bounds = first;
  let target = first.max;

  function setTarget(workers: number): void {
    target = Math.min(Math.max(workers, bounds.min), bounds.max);
  }

  return {
    bounds: () => bounds,
    target: () => target,
    capacity: () => Math.max(target, 1),
    setTarget,
    resize(next) {
      bounds = next;
      setTarget(target);
    },
  };
}
