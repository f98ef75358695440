/** A row in the tables of metrics: `table.ts`, which includes `process-table.ts`. */
export type MetricKind = "counter" | "gauge" | "histogram";

type Words = {
  readonly description: string;
  /** What an unusual value means to an operator; empty: nothing. */
  readonly advice?: string;
  /** Upper bounds of a histogram's buckets. */
  readonly bounds?: readonly number[];
};

export type Row = Words & { readonly kind: MetricKind; readonly unit: string; readonly attributes: readonly string[] };

const rowOf =
  <K extends MetricKind>(kind: K) =>
  (unit: string, attributes: readonly string[], words: Words) => ({ kind, unit, attributes, ...words });

export const counter = rowOf("counter");
export const gauge = rowOf("gauge");
export const histogram = rowOf("histogram");
/** The attributes of a metric without any. */
export const none: readonly string[] = [];
