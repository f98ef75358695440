import { prometheusContentType, toPrometheus } from "../metrics/prometheus.ts";
import type { Registry } from "../metrics/registry.ts";
import type { Page } from "./pages.ts";

/** What Prometheus scrapes. Nothing in it names a client. */
export function metricsPage(registry: Pick<Registry, "collect">): Page {
  return {
    summary: "the server's metrics for Prometheus",
    async answer() {
      return { status: 200, contentType: prometheusContentType, body: toPrometheus(await registry.collect()) };
    },
  };
}
