import { messageOf, StartError } from "../errors.ts";
import type { MetricPushParts } from "./metric-export.ts";
import type { MetricSettings } from "./variables.ts";

/**
 * Pushes metrics if the standard variables ask for it. Resolves with a function that stops it after a last push of at
 * most three seconds.
 */
export async function startMetricPush(
  settings: MetricSettings | null,
  parts: MetricPushParts,
): Promise<() => Promise<void>> {
  if (!settings) return async () => {};
  try {
    const { openMetricExport } = await import("./metric-export.ts");
    return await openMetricExport(settings, parts);
  } catch (error) {
    throw new StartError(`metrics cannot be pushed, check the OTEL_ variables: ${messageOf(error)}`, { cause: error });
  }
}
