/** What operators change of a pool while servers run, in place of what the configuration says. */

/** Nothing of the pool starts. */
export type PoolPause = {
  /** The client that asked for it. */
  readonly by: string;
  readonly at: number;
};

export type WorkerBounds = { readonly min: number; readonly max: number };

/** Bounds of the pool's workers, of each server. */
export type PoolResize = WorkerBounds & {
  readonly by: string;
  readonly at: number;
  /** What the configuration said when the pool was resized. */
  readonly configured: WorkerBounds;
};

/** Null: as the configuration has it. */
export type PoolOverrides = { readonly pause: PoolPause | null; readonly resize: PoolResize | null };

/** What is not given of the bounds stays. */
export type ResizeRequest = Partial<WorkerBounds> & Omit<PoolResize, keyof WorkerBounds>;

export type OverrideRequest = { readonly pool: string } & OverrideChange;

type OverrideChange = { readonly pause?: PoolPause | null; readonly resize?: ResizeRequest | null };

export type Overridden = { readonly before: PoolOverrides; readonly after: PoolOverrides };

export const noOverrides: PoolOverrides = { pause: null, resize: null };

/** What a request makes of a pool's overrides: those that it does not name stay, and so does the pause of a paused pool. */
export function override(before: PoolOverrides, { pause, resize }: OverrideChange): PoolOverrides {
  return {
    pause: pause === undefined ? before.pause : pause && (before.pause ?? pause),
    resize: resize ? resized(before.resize, resize) : resize === undefined ? before.resize : null,
  };
}

/** Bounds that cross because another client has changed the one that is not given change nothing; nor do equal bounds. */
function resized(before: PoolResize | null, request: ResizeRequest): PoolResize | null {
  const { configured } = request;
  const { min, max } = before ?? configured;
  const next = { ...request, min: request.min ?? min, max: request.max ?? max };
  const isSame = next.min === min && next.max === max;
  return isSame || next.min > next.max ? before : next;
}
