import { messageOf, StartError } from "../errors.ts";
import type { MetricPushParts } from "./metric-export.ts";
import type { MetricSettings } from "./variables.ts";

/** Pushes metrics where the standard variables ask for it; resolves with what pushes once more and stops, within three seconds. */
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
