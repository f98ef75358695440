/** A collector of metrics in this process, for OTLP over HTTP, with what it was sent. */
import { EventEmitter, once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

/** As OTLP/HTTP carries it in JSON. */
export type SentMetric = {
  readonly name: string;
  readonly unit: string;
  readonly sum?: {
    readonly dataPoints: readonly SentNumber[];
    readonly aggregationTemporality: number;
    readonly isMonotonic: boolean;
  };
  readonly gauge?: { readonly dataPoints: readonly SentNumber[] };
  readonly histogram?: { readonly dataPoints: readonly SentHistogram[]; readonly aggregationTemporality: number };
};
type SentPoint = {
  readonly attributes: readonly { readonly key: string; readonly value: { readonly stringValue: string } }[];
  readonly startTimeUnixNano: string;
  readonly timeUnixNano: string;
};
type SentNumber = SentPoint & { readonly asInt?: string | number; readonly asDouble?: number };
type SentHistogram = SentPoint & {
  readonly count: string | number;
  readonly sum: number;
  readonly bucketCounts: readonly (string | number)[];
  readonly explicitBounds: readonly number[];
};

type Body = {
  readonly resourceMetrics: readonly {
    readonly resource: {
      readonly attributes: readonly { readonly key: string; readonly value: { readonly stringValue?: string } }[];
    };
    readonly scopeMetrics: readonly {
      readonly scope: { readonly name: string };
      readonly metrics: readonly SentMetric[];
    }[];
  }[];
};

export type Push = { readonly path: string; readonly contentType: string; readonly body: Buffer };

export async function openMetricReceiver(t: TestContext, status = 200) {
  const pushes: Push[] = [];
  const events = new EventEmitter();
  const receive = async (request: IncomingMessage): Promise<void> => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const contentType = request.headers["content-type"] ?? "";
    pushes.push({ path: request.url ?? "", contentType, body: Buffer.concat(parts) });
    events.emit("push");
  };
  const server = createServer((request, response) => {
    void receive(request).then(() => response.writeHead(status, { "content-type": "application/json" }).end("{}"));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  /** The first push that is so, whether it is there already or is to come. */
  const pushed = async (isSo: (push: Push) => boolean): Promise<Push> => {
    for (let seen = 0; ; seen += 1) {
      if (pushes.length === seen) await once(events, "push");
      if (isSo(pushes[seen]!)) return pushes[seen]!;
    }
  };
  return { pushes, pushed, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

export function bodyOf({ body }: Push): Body {
  return JSON.parse(body.toString()) as Body;
}

/** The metrics of a push in JSON, by name. */
export function metricsOf(push: Push): ReadonlyMap<string, SentMetric> {
  const all = bodyOf(push)
    .resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics)
    .flatMap(({ metrics }) => metrics);
  return new Map(all.map((metric) => [metric.name, metric]));
}

/** The value of the point with these attributes, or its count where it is a histogram; undefined: it was not sent. */
export function sentValue(
  push: Push,
  name: string,
  attributes: { readonly [name: string]: string } = {},
): number | undefined {
  const metric = metricsOf(push).get(name);
  const points = [...(metric?.sum ?? metric?.gauge ?? metric?.histogram ?? { dataPoints: [] }).dataPoints];
  const point = points.find((each) =>
    Object.entries(attributes).every(([key, value]) =>
      each.attributes.some((attribute) => attribute.key === key && attribute.value.stringValue === value),
    ),
  );
  if (!point) return undefined;
  return Number("count" in point ? point.count : (point.asInt ?? point.asDouble));
}
