/** Changes of pools by operators while servers run, which override the configuration. */

/** No job of the pool starts. */
export type PoolPause = {
  /** The client that requested it. */
  readonly by: string;
  readonly at: number;
};

export type WorkerBounds = { readonly min: number; readonly max: number };

/** Bounds of the pool's workers on each server. */
export type PoolResize = WorkerBounds & {
  readonly by: string;
  readonly at: number;
  /** The configured bounds when the pool was resized. */
  readonly configured: WorkerBounds;
};

/** Null: the configuration applies. */
export type PoolOverrides = { readonly pause: PoolPause | null; readonly resize: PoolResize | null };

/** An absent bound stays. */
export type ResizeRequest = Partial<WorkerBounds> & Omit<PoolResize, keyof WorkerBounds>;

export type OverrideRequest = { readonly pool: string } & OverrideChange;

type OverrideChange = { readonly pause?: PoolPause | null; readonly resize?: ResizeRequest | null };

export type Overridden = { readonly before: PoolOverrides; readonly after: PoolOverrides };

export const noOverrides: PoolOverrides = { pause: null, resize: null };

/** Applies a request to a pool's overrides: absent ones stay, and a paused pool keeps its pause. */
export function override(before: PoolOverrides, { pause, resize }: OverrideChange): PoolOverrides {
  return {
    pause: pause === undefined ? before.pause : pause && (before.pause ?? pause),
    resize: resize ? resized(before.resize, resize) : resize === undefined ? before.resize : null,
  };
}

/** Equal bounds change nothing, nor do bounds that cross because another client has changed the absent one. */
function resized(before: PoolResize | null, request: ResizeRequest): PoolResize | null {
  const { configured } = request;
  const { min, max } = before ?? configured;
  const next = { ...request, min: request.min ?? min, max: request.max ?? max };
  const isSame = next.min === min && next.max === max;
  return isSame || next.min > next.max ? before : next;
}
