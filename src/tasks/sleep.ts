import { systemClock } from "../clock.ts";
import { SleepInputSchema, SleepOutputSchema } from "../gen/millpond/tasks/v1/diagnostic_pb.ts";
import { defineTask } from "../pool/task.ts";

const maxDurationMs = 3_600_000;

/** `sleep`: only waits. For trying out cancellation, draining and limits. */
export default defineTask({
  name: "sleep",
  pool: "io",
  description: "Waits for a given time, at most one hour, or until it is asked to stop.",
  input: SleepInputSchema,
  output: SleepOutputSchema,
  check: ({ durationMs }) =>
    durationMs > maxDurationMs
      ? [{ field: "durationMs", description: `is ${durationMs} and must be 0 to ${maxDurationMs}` }]
      : [],
  async run({ durationMs }, { signal }) {
    const startedAt = systemClock.monotonicMs();
    await wait(durationMs, signal);
    return { sleptMs: systemClock.monotonicMs() - startedAt };
  },
});

/** Rejects with the signal's reason as soon as it aborts. */
function wait(delayMs: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const cancel = systemClock.after(delayMs, () => {
    signal.removeEventListener("abort", stop);
    resolve();
  });
  const stop = () => {
    cancel();
    reject(signal.reason);
  };
  signal.addEventListener("abort", stop, { once: true });
  return promise;
}
