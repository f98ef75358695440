/** What begins when the server drains, by a signal or by `AdminService.Drain`. */

export type Draining = {
  /** Nothing more is leased, submits are refused, health says NOT_SERVING, connections get GOAWAY. Safe to repeat. */
  start(): void;
  isDraining(): boolean;
  /** Aborts when draining begins. */
  readonly signal: AbortSignal;
  /** Resolves once no job runs any more; while draining has not begun that may be never. */
  ended(): Promise<void>;
};

export type DrainingParts = {
  /** Everything that has to happen at the beginning, in order. */
  readonly begin: () => void;
  /** Resolves once no job runs any more. */
  readonly ended: () => Promise<void>;
};

export function createDraining({ begin, ended }: DrainingParts): Draining {
  const controller = new AbortController();
  return {
    start() {
      if (controller.signal.aborted) return;
      controller.abort();
      begin();
    },
    isDraining: () => controller.signal.aborted,
    signal: controller.signal,
    ended,
  };
}
