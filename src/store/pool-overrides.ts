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

export type OverrideRequest = { readonly pool: string } & Partial<PoolOverrides>;

export type Overridden = { readonly before: PoolOverrides; readonly after: PoolOverrides };

export const noOverrides: PoolOverrides = { pause: null, resize: null };

/** What a request makes of a pool's overrides: those that it does not name stay, and so does the pause of a paused pool. */
export function override(before: PoolOverrides, { pause, resize }: Partial<PoolOverrides>): PoolOverrides {
  return {
    pause: pause === undefined ? before.pause : pause && (before.pause ?? pause),
    resize: resize === undefined ? before.resize : resize,
  };
}
