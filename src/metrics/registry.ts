/**
 * The server's own metrics. `Stats`, `/metrics` and OTLP all read them here, so they cannot disagree. Counting only
 * adds to a number in a counter that the caller keeps; points are built when a reader collects.
 */
import type { Clock } from "../clock.ts";
import {
  type CounterName,
  type HistogramName,
  type Metric,
  type MetricName,
  metrics,
  type ObservedName,
} from "./table.ts";

export type Attributes = { readonly [name: string]: string };

export type Counter = {
  readonly attributes: Attributes;
  value: number;
};

export type Histogram = {
  readonly attributes: Attributes;
  /** Values per bucket, not cumulative; the last bucket is for those above all bounds. */
  readonly counts: readonly number[];
  readonly sum: number;
  readonly count: number;
  record(value: number): void;
};

export type Observe = (name: ObservedName, value: number, attributes?: Attributes) => void;

export type NumberPoint = { readonly attributes: Attributes; readonly value: number };
export type HistogramPoint = Omit<Histogram, "record">;
export type Collected = Metric & {
  readonly points: readonly NumberPoint[] | readonly HistogramPoint[];
};

export type Registry = {
  /** The counter with these attributes, created at 0. Keep the counter where it is used often. */
  counter(name: CounterName, attributes?: Attributes): Counter;
  histogram(name: HistogramName, attributes?: Attributes): Histogram;
  /** Calls `read` to observe numbers at each collection. If it fails, only its numbers are missing from that collection. */
  observed(read: (observe: Observe) => void | Promise<void>): void;
  /**
   * Every metric with its current points, in the order of the table. Resolves within `longestReadMs`; numbers of slower
   * observers are missing from this collection.
   */
  collect(): Promise<readonly Collected[]>;
  /** When counting started, in milliseconds since 1970. */
  readonly startedAt: number;
};

/**
 * Bound on the series of one metric; further ones are counted in one shared overflow series (OpenTelemetry's
 * cardinality limit). It leaves room for six outcomes of every task that `Stats` lists: a task counted in the shared
 * series would have no numbers there.
 */
export const maxSeries = 8_000;
const overflow: Attributes = { "otel.metric.overflow": "true" };
const longestReadMs = 1_000;
const none: Attributes = {};

export function createRegistry(clock: Clock): Registry {
  const counters = new Map<MetricName, Map<string, Counter>>();
  const histograms = new Map<MetricName, Map<string, Histogram>>();
  const observers: ((observe: Observe) => void | Promise<void>)[] = [];
  const boundsOf = new Map(metrics.map(({ name, bounds }) => [name, bounds]));

  function read(): Promise<ReadonlyMap<MetricName, readonly NumberPoint[]>> {
    const observed = new Map<MetricName, NumberPoint[]>();
    let isOver = false;
    const observe: Observe = (name, value, attributes = none) => {
      if (isOver) return;
      const points = observed.get(name);
      if (!points) observed.set(name, [{ attributes, value }]);
      else if (points.length < maxSeries) points.push({ attributes, value });
    };
    const all = Promise.allSettled(observers.map(async (each) => each(observe)));
    return new Promise((resolve) => {
      const finish = () => {
        isOver = true;
        cancel();
        resolve(observed);
      };
      const cancel = clock.after(longestReadMs, finish);
      void all.then(finish);
    });
  }

  return {
    startedAt: clock.now(),
    counter: (name, attributes = none) =>
      seriesOf(counters, name, attributes, (own) => ({ attributes: own, value: 0 })),
    histogram: (name, attributes = none) =>
      seriesOf(histograms, name, attributes, (own) => createHistogram(own, boundsOf.get(name) ?? [])),
    observed: (each) => void observers.push(each),
    async collect() {
      const observed = await read();
      return metrics.map((metric) => {
        if (metric.kind === "histogram")
          return { ...metric, points: [...(histograms.get(metric.name)?.values() ?? [])] };
        return {
          ...metric,
          points: [...(counters.get(metric.name)?.values() ?? []), ...(observed.get(metric.name) ?? [])],
        };
      });
    },
  };
}

function seriesOf<S>(
  all: Map<MetricName, Map<string, S>>,
  name: MetricName,
  attributes: Attributes,
  make: (attributes: Attributes) => S,
): S {
  const series = all.get(name) ?? new Map<string, S>();
  all.set(name, series);
  const wanted = JSON.stringify(attributes);
  const known = series.get(wanted);
  if (known) return known;
  const own = series.size < maxSeries ? attributes : overflow;
  const key = own === overflow ? "" : wanted;
  const made = series.get(key) ?? make(own);
  series.set(key, made);
  return made;
}

function createHistogram(attributes: Attributes, bounds: readonly number[]): Histogram {
  const counts = Array<number>(bounds.length + 1).fill(0);
  const histogram = {
    attributes,
    counts,
    sum: 0,
    count: 0,
    record(value: number): void {
      let bucket = 0;
      while (bucket < bounds.length && value > bounds[bucket]!) bucket += 1;
      counts[bucket]! += 1;
      histogram.sum += value;
      histogram.count += 1;
    },
  };
  return histogram;
}
