/** Pages of the HTTP port beside its RPCs: for probes, metrics scrapers and people. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Readiness } from "../engine/upkeep/readiness.ts";
import { prometheusContentType, toPrometheus } from "../metrics/prometheus.ts";
import type { Registry } from "../metrics/registry.ts";
import { answerHeaders, answerJson } from "./http-answer.ts";

export type Page = {
  /** A short phrase that describes it in the list at `/`. */
  readonly summary: string;
  /** Whether it also serves requests without a `Host`, which HTTP/1.0 probes send and browsers never do. */
  readonly isForProbes?: true;
  /** A rejection is sent like the error of an RPC. */
  answer(request: IncomingMessage): PageAnswer | Promise<PageAnswer>;
};

export type PageAnswer = {
  readonly status: number;
  readonly contentType: string;
  readonly body: string | Uint8Array;
  readonly headers?: { readonly [name: string]: string };
};

/** By path. */
export type Pages = ReadonlyMap<string, Page>;

/** The page that a request is for, whatever its query. */
export function pageOf(pages: Pages, { url = "" }: IncomingMessage): Page | undefined {
  return pages.get(url.split("?", 1)[0] ?? "");
}

/** Answers GET and HEAD, and other methods with 405. Forbids caching. */
export async function answerPage(page: Page, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("allow", "GET, HEAD");
    const message = `${request.method} is not for this page: use GET or HEAD`;
    return answerJson(response, 405, { code: "unimplemented", message });
  }
  const { status, contentType, body, headers = {} } = await page.answer(request);
  const all: { [name: string]: string } = {
    ...{ "content-type": contentType, "content-length": String(Buffer.byteLength(body)) },
    ...{ "cache-control": "no-store", "x-content-type-options": "nosniff" },
    ...headers,
  };
  if (response.destroyed) return; // the client has disconnected
  const { vary } = headers;
  if (vary !== undefined && response.hasHeader("vary")) all.vary = `${String(response.getHeader("vary"))}, ${vary}`;
  answerHeaders(response, status, Object.entries(all), request.method === "HEAD" ? undefined : body);
}

export function jsonAnswer(status: number, body: unknown): PageAnswer {
  return { status, contentType: "application/json", body: `${JSON.stringify(body)}\n` };
}

/** The probes: whether to restart the server, and whether to send it jobs. */
export function healthPages(readiness: Pick<Readiness, "reasons" | "paused">): Pages {
  const status = (reasons: ReturnType<Readiness["reasons"]>, details = {}) =>
    reasons.length === 0
      ? jsonAnswer(200, { status: "SERVING", ...details })
      : jsonAnswer(503, { status: "NOT_SERVING", reasons, ...details });
  return new Map<string, Page>([
    [
      "/healthz",
      {
        summary: "whether the server is alive: 200 until its store has failed",
        isForProbes: true,
        answer: () => status(readiness.reasons().filter(({ reason }) => reason === "store_failed")),
      },
    ],
    [
      "/readyz",
      {
        summary: "whether it takes and runs jobs: 200, or 503 with the reasons; and which pools are paused",
        isForProbes: true,
        answer() {
          const paused = readiness.paused();
          return status(readiness.reasons(), paused.length > 0 ? { paused } : {});
        },
      },
    ],
  ]);
}

/** The page that Prometheus scrapes. It contains no names of clients. */
export function metricsPage(registry: Pick<Registry, "collect">): Page {
  /** The collection in progress; concurrent requests share it. */
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
