/** Spans as Jaeger's query API has them, and the tree that they make. */

type Tag = { readonly key: string; readonly value: unknown };
type ApiSpan = {
  readonly traceID: string;
  readonly spanID: string;
  readonly operationName: string;
  readonly references: readonly { readonly refType: string; readonly traceID: string; readonly spanID: string }[];
  /** Microseconds. */
  readonly startTime: number;
  readonly duration: number;
  readonly tags: readonly Tag[];
  readonly logs: readonly { readonly timestamp: number; readonly fields: readonly Tag[] }[];
  readonly processID: string;
  readonly warnings: readonly string[] | null;
};
export type ApiTrace = {
  readonly data: readonly {
    readonly spans: readonly ApiSpan[];
    readonly processes: { readonly [id: string]: { readonly serviceName: string; readonly tags: readonly Tag[] } };
  }[];
};

type Values = { readonly [name: string]: unknown };

export type JaegerSpan = {
  readonly traceId: string;
  readonly id: string;
  /** Undefined: it begins its trace. */
  readonly parentId: string | undefined;
  readonly name: string;
  /** `client`, `server`, `producer`, `consumer` or `internal`. */
  readonly kind: string;
  readonly service: string;
  /** Milliseconds since 1970, and from there to the end, with microseconds. */
  readonly startedAt: number;
  readonly tookMs: number;
  readonly isError: boolean;
  /** What its status says about the error. */
  readonly message: string | undefined;
  readonly tags: Values;
  readonly events: readonly { readonly name: string; readonly tags: Values }[];
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  /** What Jaeger finds odd, such as times that it moved because it takes them for those of a clock that is wrong. */
  readonly warnings: readonly string[];
};

/** In the order in which they began; of those that began at once the one that ended first. */
export function toSpans({ data }: ApiTrace): readonly JaegerSpan[] {
  const spans = data.flatMap(({ spans, processes }) =>
    spans.map((span): JaegerSpan => {
      const tags = valuesOf(span.tags);
      const parent = span.references.find(({ refType, traceID }) => refType === "CHILD_OF" && traceID === span.traceID);
      return {
        traceId: span.traceID,
        id: span.spanID,
        parentId: parent?.spanID,
        name: span.operationName,
        kind: String(tags["span.kind"] ?? "internal"),
        service: processes[span.processID]?.serviceName ?? "",
        startedAt: span.startTime / 1000,
        tookMs: span.duration / 1000,
        isError: tags.error === true,
        message: tags["otel.status_description"] as string | undefined,
        tags,
        events: span.logs.map(({ fields }) => {
          const { event, ...rest } = valuesOf(fields);
          return { name: String(event), tags: rest };
        }),
        warnings: span.warnings ?? [],
        links: span.references
          .filter((reference) => reference !== parent)
          .map(({ traceID, spanID }) => ({ traceId: traceID, spanId: spanID })),
      };
    }),
  );
  return spans.toSorted((a, b) => a.startedAt - b.startedAt || a.tookMs - b.tookMs);
}

function valuesOf(tags: readonly Tag[]): Values {
  return Object.fromEntries(tags.map(({ key, value }) => [key, value]));
}

/** A span with how deep it stands below the first. */
export type Placed<S> = { readonly span: S; readonly depth: number };

/** Spans with each one's children behind it, in the order in which they began. Those whose parent is missing come last. */
export function inTree<S extends Pick<JaegerSpan, "id" | "parentId">>(spans: readonly S[]): readonly Placed<S>[] {
  const ids = new Set(spans.map(({ id }) => id));
  const below = (parentId: string | undefined, depth: number): Placed<S>[] =>
    spans
      .filter((span) => span.parentId === parentId)
      .flatMap((span) => [{ span, depth }, ...below(span.id, depth + 1)]);
  const orphans = spans.filter(({ parentId }) => parentId !== undefined && !ids.has(parentId));
  return [...below(undefined, 0), ...orphans.flatMap((span) => [{ span, depth: 0 }, ...below(span.id, 1)])];
}
