/** A collector in this process: takes OTLP by each of its protocols, and keeps the spans as plain data. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

export type Value = string | number | boolean;
export type Kind = "internal" | "server" | "client" | "producer" | "consumer";
export type Span = {
  readonly name: string;
  readonly kind: Kind;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty: it begins its trace. */
  readonly parentId: string;
  readonly tracestate: string;
  /** Nanoseconds since 1970. */
  readonly startedAt: bigint;
  readonly endedAt: bigint;
  readonly attributes: { readonly [name: string]: Value };
  readonly events: readonly { readonly name: string; readonly attributes: { readonly [name: string]: Value } }[];
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly isError: boolean;
  readonly message: string;
  readonly resource: { readonly [name: string]: Value };
};

export type Receiver = {
  readonly url: string;
  readonly spans: readonly Span[];
  /** Path and content type of each request. */
  readonly requests: readonly string[];
};

const kinds: readonly Kind[] = ["internal", "internal", "server", "client", "producer", "consumer"];

/** OTLP over HTTP, as JSON or as protobuf. */
export async function openReceiver(t: Pick<TestContext, "after">): Promise<Receiver> {
  const spans: Span[] = [];
  const requests: string[] = [];
  const receive = async (request: IncomingMessage): Promise<void> => {
    const type = request.headers["content-type"] ?? "";
    requests.push(`${request.url} ${type}`);
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const body = Buffer.concat(parts);
    spans.push(...(type === "application/json" ? fromJson(body.toString()) : fromBytes(body)));
  };
  const server = createServer((request, response) => {
    void receive(request).then(() => response.setHeader("content-type", request.headers["content-type"] ?? "").end());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { spans, requests, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** OTLP over gRPC. */
export async function openGrpcReceiver(t: Pick<TestContext, "after">): Promise<Receiver> {
  const spans: Span[] = [];
  const requests: string[] = [];
  const path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
  const asIs = (bytes: Buffer) => bytes;
  const serialized = {
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
  const server = new Server();
  server.addService(
    { export: { path, requestStream: false, responseStream: false, ...serialized } },
    {
      export(call: { readonly request: Buffer }, answer: (error: null, response: Buffer) => void) {
        requests.push(`${path} application/grpc`);
        spans.push(...fromBytes(call.request));
        answer(null, Buffer.alloc(0));
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  t.after(() => server.forceShutdown());
  return { spans, requests, url: `http://127.0.0.1:${port}` };
}

type JsonPairs = readonly { readonly key: string; readonly value: { readonly [type: string]: Value } }[];
type JsonSpan = {
  readonly [field in
    | "name"
    | "traceId"
    | "spanId"
    | "parentSpanId"
    | "traceState"
    | "startTimeUnixNano"
    | "endTimeUnixNano"]?: string;
} & {
  readonly kind: number;
  readonly attributes?: JsonPairs;
  readonly events?: readonly { readonly name: string; readonly attributes?: JsonPairs }[];
  readonly links?: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly status?: { readonly code?: number; readonly message?: string };
};

function fromJson(text: string): Span[] {
  const { resourceSpans } = JSON.parse(text) as {
    readonly resourceSpans: readonly {
      readonly resource: { readonly attributes: JsonPairs };
      readonly scopeSpans: readonly { readonly spans: readonly JsonSpan[] }[];
    }[];
  };
  const pairs = (list: JsonPairs = []) =>
    Object.fromEntries(
      list.map(({ key, value: { intValue, ...rest } }) => [
        key,
        intValue === undefined ? Object.values(rest)[0]! : Number(intValue),
      ]),
    );
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans
      .flatMap(({ spans }) => spans)
      .map((span) => ({
        name: span.name ?? "",
        kind: kinds[span.kind]!,
        traceId: span.traceId ?? "",
        spanId: span.spanId ?? "",
        parentId: span.parentSpanId ?? "",
        tracestate: span.traceState ?? "",
        startedAt: BigInt(span.startTimeUnixNano ?? 0),
        endedAt: BigInt(span.endTimeUnixNano ?? 0),
        attributes: pairs(span.attributes),
        events: (span.events ?? []).map((event) => ({ name: event.name, attributes: pairs(event.attributes) })),
        links: (span.links ?? []).map(({ traceId, spanId }) => ({ traceId, spanId })),
        isError: span.status?.code === 2,
        message: span.status?.message ?? "",
        resource: pairs(resource.attributes),
      })),
  );
}

/** The fields of a message by number; each value as it stands on the wire. */
type Fields = Map<number, (Uint8Array | bigint)[]>;

function fieldsOf(bytes: Uint8Array): Fields {
  const reader = new BinaryReader(bytes);
  const fields: Fields = new Map();
  while (reader.pos < reader.len) {
    const [no, type] = reader.tag();
    let value: Uint8Array | bigint;
    if (type === WireType.LengthDelimited) value = reader.bytes();
    else if (type === WireType.Bit64) value = BigInt(reader.fixed64());
    else if (type === WireType.Bit32) value = BigInt(reader.fixed32());
    else value = BigInt(reader.uint64());
    fields.set(no, [...(fields.get(no) ?? []), value]);
  }
  return fields;
}

/** trace_service.proto, trace.proto and common.proto, as far as spans of this server use them. */
function fromBytes(body: Uint8Array): Span[] {
  const messages = (fields: Fields, no: number) => (fields.get(no) ?? []).map((value) => fieldsOf(value as Uint8Array));
  const text = (fields: Fields, no: number) =>
    Buffer.from((fields.get(no)?.[0] as Uint8Array | undefined) ?? []).toString();
  const hex = (fields: Fields, no: number) =>
    Buffer.from((fields.get(no)?.[0] as Uint8Array | undefined) ?? []).toString("hex");
  const number = (fields: Fields, no: number) => (fields.get(no)?.[0] as bigint | undefined) ?? 0n;
  const valueOf = (value: Fields): Value => {
    if (value.has(1)) return text(value, 1);
    if (value.has(2)) return number(value, 2) === 1n;
    if (value.has(3)) return Number(number(value, 3));
    const bits = Buffer.alloc(8);
    bits.writeBigUInt64LE(number(value, 4));
    return bits.readDoubleLE();
  };
  const pairs = (fields: Fields, no: number) =>
    Object.fromEntries(messages(fields, no).map((pair) => [text(pair, 1), valueOf(messages(pair, 2)[0]!)]));
  return messages(fieldsOf(body), 1).flatMap((resourceSpans) => {
    const resource = pairs(messages(resourceSpans, 1)[0]!, 1);
    const spans = messages(resourceSpans, 2).flatMap((scopeSpans) => messages(scopeSpans, 2));
    return spans.map((span): Span => {
      const [status = new Map() as Fields] = messages(span, 15);
      return {
        name: text(span, 5),
        kind: kinds[Number(number(span, 6))]!,
        traceId: hex(span, 1),
        spanId: hex(span, 2),
        parentId: hex(span, 4),
        tracestate: text(span, 3),
        startedAt: number(span, 7),
        endedAt: number(span, 8),
        attributes: pairs(span, 9),
        events: messages(span, 11).map((event) => ({ name: text(event, 2), attributes: pairs(event, 3) })),
        links: messages(span, 13).map((link) => ({ traceId: hex(link, 1), spanId: hex(link, 2) })),
        isError: number(status, 3) === 2n,
        message: text(status, 2),
        resource,
      };
    });
  });
}

/** The only span of this name, and in this trace. */
export function one(spans: readonly Span[], name: string, traceId: string): Span {
  const found = spans.filter((span) => span.name === name && span.traceId === traceId);
  assert.equal(found.length, 1, `${found.length} spans "${name}" in trace ${traceId}`);
  return found[0]!;
}

/** A trace as text, one line for each span below its parent, in the order in which they began. */
export function treeOf(spans: readonly Span[], traceId: string): string[] {
  const all = spans.filter((span) => span.traceId === traceId).sort((a, b) => Number(a.startedAt - b.startedAt));
  const known = new Set(all.map(({ spanId }) => spanId));
  const below = (parentId: string, depth: number): string[] =>
    all
      .filter((span) => (depth === 0 ? !known.has(span.parentId) : span.parentId === parentId))
      .flatMap((span) => [`${"  ".repeat(depth)}${span.name}`, ...below(span.spanId, depth + 1)]);
  return below("", 0);
}

/** A trace that a caller has begun. */
export const newTrace = () => ({ traceId: randomUUID().replaceAll("-", ""), parentId: "b7ad6b7169203331" });
export type NewTrace = ReturnType<typeof newTrace>;
export const traceparentOf = ({ traceId, parentId }: NewTrace, flags = "01") => `00-${traceId}-${parentId}-${flags}`;
export const headersOf = (trace: NewTrace) => ({ headers: { traceparent: traceparentOf(trace) } });
/** Variables of a server that exports its traces there. */
export const otlp = (receiver: Receiver, protocol = "http/protobuf") => ({
  OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
  OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
  OTEL_METRICS_EXPORTER: "none",
});
