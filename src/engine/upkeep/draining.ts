/** Starts the drain of the server, which a signal or `AdminService.Drain` requests. */

export type Draining = {
  /**
   * From now on nothing is leased, submits are refused, health is NOT_SERVING, connections get GOAWAY. Safe to repeat.
   */
  start(): void;
  isDraining(): boolean;
  /** Aborts when the drain starts. */
  readonly signal: AbortSignal;
  /** Resolves once no job runs; possibly never if the drain has not started. */
  ended(): Promise<void>;
};

export type DrainingParts = {
  /** Everything that happens when the drain starts, in order. */
  readonly begin: () => void;
  /** Resolves once no job runs. */
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
