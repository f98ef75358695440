/** What a row says in the tables of metrics: `table.ts`, and `process-table.ts`, which it takes in. */
export type MetricKind = "counter" | "gauge" | "histogram";

export type Row = {
  readonly kind: MetricKind;
  readonly unit: string;
  readonly attributes?: readonly string[];
  readonly description: string;
  /** What a value that stands out means for whoever runs the server; empty: nothing. */
  readonly advice?: string;
  /** Upper bounds of a histogram's buckets. */
  readonly bounds?: readonly number[];
};
