/** A row in the tables of metrics: `table.ts`, which includes `process-table.ts`. */
export type MetricKind = "counter" | "gauge" | "histogram";

export type Row = {
  readonly kind: MetricKind;
  readonly unit: string;
  readonly attributes?: readonly string[];
  readonly description: string;
  /** What an unusual value means to an operator; empty: nothing. */
  readonly advice?: string;
  /** Upper bounds of a histogram's buckets. */
  readonly bounds?: readonly number[];
};
