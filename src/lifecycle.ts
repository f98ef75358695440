/**
 * A part of the server that runs. `start` resolves when the part is ready; `stop` when it has let go of everything.
 * Stopping what was never started, or twice, is safe.
 */
export type Service = {
  readonly name: string;
  start(): Promise<void>;
  stop(): Promise<void>;
};

/**
 * Starts services in order. When one fails, those already started are stopped in reverse order before the error is
 * thrown on.
 */
export async function startAll(services: readonly Service[]): Promise<void> {
  const started: Service[] = [];
  for (const service of services) {
    try {
      await service.start();
      started.push(service);
    } catch (error) {
      await stopAll(started).catch(() => undefined); // the first error is the one that names the cause
      throw error;
    }
  }
}

/** Stops services in reverse order, all of them even when some fail; the failures are thrown as one AggregateError. */
export async function stopAll(services: readonly Service[]): Promise<void> {
  const failures: unknown[] = [];
  for (const service of services.toReversed()) {
    try {
      await service.stop();
    } catch (error) {
      failures.push(new Error(`could not stop ${service.name}`, { cause: error }));
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, "some parts of the server did not stop cleanly");
}

/** What has to end before the process turns into another program: what the kernel has for it would reach that one. */
export const beforeExec = new Set<() => void>();

/** A promise with its settlers, for one event that others wait for. */
export type Signal<T = void> = { readonly promise: Promise<T>; fire(value: T): void; fail(error: unknown): void };

export function createSignal<T = void>(): Signal<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  return { promise, fire: resolve, fail: reject };
}
