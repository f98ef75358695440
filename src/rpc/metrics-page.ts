import { prometheusContentType, toPrometheus } from "../metrics/prometheus.ts";
import type { Registry } from "../metrics/registry.ts";
import type { Page, PageAnswer } from "./pages.ts";

/** What Prometheus scrapes. Nothing in it names a client. */
export function metricsPage(registry: Pick<Registry, "collect">): Page {
  /** While it is read and written: it is the answer to all who ask meanwhile. */
  let underWay: Promise<PageAnswer> | undefined;

  async function write(): Promise<PageAnswer> {
    try {
      const body = Buffer.from(toPrometheus(await registry.collect()));
      return { status: 200, contentType: prometheusContentType, body };
    } finally {
      underWay = undefined;
    }
  }

  return {
    summary: "the server's metrics for Prometheus",
    answer: () => (underWay ??= write()),
  };
}
