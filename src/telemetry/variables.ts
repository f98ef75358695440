/**
 * OpenTelemetry's standard variables for traces and metrics. Unsupported values are refused at the start, where the SDK
 * would silently use its default. The exporters read endpoints, headers and certificates themselves.
 * https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
 */
import { isIPv4 } from "node:net";
import { StartError } from "../errors.ts";

export type Variables = { readonly [name: string]: string | undefined };

const protocols = ["grpc", "http/protobuf", "http/json"] as const;
const traceExporters = ["otlp", "console", "none"] as const;
/** `prometheus` changes nothing: the HTTP port always serves /metrics. */
const metricExporters = ["otlp", "console", "prometheus", "none"] as const;
const propagators: readonly string[] = ["tracecontext", "baggage", "none"];
const otherPropagators: readonly string[] = ["b3", "b3multi", "jaeger", "xray", "ottrace"];
const compressions = ["none", "gzip"] as const;
const temporalities = ["cumulative", "delta", "lowmemory"] as const;
const samplers = [
  "always_on",
  "always_off",
  "traceidratio",
  "parentbased_always_on",
  "parentbased_always_off",
  "parentbased_traceidratio",
] as const;

export type Protocol = (typeof protocols)[number];
export type SamplerName = (typeof samplers)[number];
/** The exporters of one signal; never empty. */
export type Exporters = readonly ("otlp" | "console")[];

export type TraceSettings = {
  readonly exporters: Exporters;
  /** The collector's address as the log shows it: without path, user and password. Null: the exporter's default. */
  readonly collector: string | null;
  readonly protocol: Protocol;
  /** Null: the server's own, parent-based with a bound on new traces per second. */
  readonly sampler: { readonly name: SamplerName; readonly ratio: number } | null;
  /** Bound on the spans that wait for the exporter: more are dropped. */
  readonly maxQueued: number;
  readonly maxBatch: number;
  /** The longest time a span waits for its batch to fill. */
  readonly batchDelayMs: number;
  readonly exportTimeoutMs: number;
};

export type MetricSettings = {
  readonly exporters: Exporters;
  readonly protocol: Protocol;
  readonly intervalMs: number;
  readonly exportTimeoutMs: number;
};

export type TelemetrySettings = {
  /** Null: no traces are exported. */
  readonly traces: TraceSettings | null;
  /** Null: no metrics are pushed. */
  readonly metrics: MetricSettings | null;
  /** The formats in which callers' contexts are accepted. */
  readonly propagates: { readonly trace: boolean; readonly baggage: boolean };
  /** Resource attributes of this server; `service.name` is always present. */
  readonly resource: { readonly [name: string]: string };
};

/**
 * Reads the settings from the environment. A signal is exported when its exporter is named, or when an endpoint is set
 * for it or for all signals. Throws one StartError (exit code 2) that lists every mistake.
 */
export function readVariables(env: Variables): TelemetrySettings {
  const read = createReader(env);
  const isDisabled = read.text("OTEL_SDK_DISABLED")?.toLowerCase() === "true";
  const settings: TelemetrySettings = {
    traces: isDisabled ? null : tracesOf(read),
    metrics: isDisabled ? null : metricsOf(read),
    propagates: propagatesOf(read),
    resource: isDisabled ? {} : resourceOf(read),
  };
  const { mistakes } = read;
  if (mistakes.size > 0) {
    throw new StartError(`the OpenTelemetry variables cannot be used:\n  ${[...mistakes].join("\n  ")}`, {
      exitCode: 2,
    });
  }
  return settings;
}

type Reader = ReturnType<typeof createReader>;

function createReader(env: Variables) {
  /** A set, because variables that both signals share are checked twice. */
  const mistakes = new Set<string>();
  const refuse = (name: string, what: string, remedy: string) => void mistakes.add(`${name} ${what}: ${remedy}`);
  /** An empty variable counts as unset. */
  const text = (name: string) => env[name]?.trim() || undefined;

  function oneOf<Value extends string>(name: string, known: readonly Value[]): Value | undefined {
    const given = text(name);
    const found = known.find((value) => value === given?.toLowerCase());
    if (given !== undefined && found === undefined) refuse(name, `is "${shown(given)}"`, `use ${listed(known)}`);
    return found;
  }

  function number(name: string, [min, max]: readonly [number, number], isWhole: boolean): number | undefined {
    const given = text(name);
    if (given === undefined) return undefined;
    const value = Number(given);
    if (value >= min && value <= max && (!isWhole || Number.isInteger(value))) return value;
    refuse(name, `is "${shown(given)}"`, `use ${isWhole ? "a whole number" : "a number"} from ${min} to ${max}`);
    return undefined;
  }

  return { mistakes, refuse, text, oneOf, number };
}

const longestMs = 3_600_000;

function tracesOf(read: Reader): TraceSettings | null {
  const exporters = exportersOf(read, "TRACES", traceExporters);
  const name = read.oneOf("OTEL_TRACES_SAMPLER", samplers);
  const ratio = name?.endsWith("ratio") ? read.number("OTEL_TRACES_SAMPLER_ARG", [0, 1], false) : undefined;
  const maxQueued = read.number("OTEL_BSP_MAX_QUEUE_SIZE", [1, 1_000_000], true) ?? 8_192;
  const settings = {
    collector: collectorOf(read, "TRACES"),
    protocol: protocolOf(read, "TRACES"),
    sampler: name ? { name, ratio: ratio ?? 1 } : null,
    maxQueued,
    maxBatch: Math.min(read.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", [1, 100_000], true) ?? 512, maxQueued),
    batchDelayMs: read.number("OTEL_BSP_SCHEDULE_DELAY", [1, longestMs], true) ?? 5_000,
    exportTimeoutMs: read.number("OTEL_BSP_EXPORT_TIMEOUT", [1, longestMs], true) ?? 30_000,
  };
  return exporters && name !== "always_off" ? { exporters, ...settings } : null;
}

function metricsOf(read: Reader): MetricSettings | null {
  const exporters = exportersOf(read, "METRICS", metricExporters);
  const preference = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
  const temporality = read.oneOf(preference, temporalities) ?? "cumulative";
  if (exporters && temporality !== "cumulative")
    read.refuse(
      preference,
      `is "${temporality}"`,
      "use cumulative, which is how this server counts; a collector can convert it",
    );
  const intervalMs = read.number("OTEL_METRIC_EXPORT_INTERVAL", [100, longestMs], true) ?? 60_000;
  const settings = {
    protocol: protocolOf(read, "METRICS"),
    intervalMs,
    exportTimeoutMs: Math.min(
      read.number("OTEL_METRIC_EXPORT_TIMEOUT", [1, longestMs], true) ?? 30_000,
      intervalMs, // the reader refuses a timeout longer than its interval
    ),
  };
  return exporters ? { exporters, ...settings } : null;
}

type Signal = "TRACES" | "METRICS";

/** Undefined: none. */
function exportersOf(read: Reader, signal: Signal, known: readonly string[]): Exporters | undefined {
  const name = `OTEL_${signal}_EXPORTER`;
  const given = read.text(name);
  const hasEndpoint = [`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`, "OTEL_EXPORTER_OTLP_ENDPOINT"].some(read.text);
  const names = new Set((given ?? (hasEndpoint ? "otlp" : "none")).split(",").map((each) => each.trim().toLowerCase()));
  for (const each of names) if (!known.includes(each)) read.refuse(name, `is "${shown(each)}"`, `use ${listed(known)}`);
  if (names.has("none") && names.size > 1) read.refuse(name, `is "${shown(given ?? "")}"`, "use `none` alone");
  const exporters = (["otlp", "console"] as const).filter((each) => names.has(each));
  if (exporters.includes("otlp")) checkOtlp(read, signal);
  return exporters.length > 0 ? exporters : undefined;
}

/** The variable of one signal has precedence over that of all. */
function protocolOf(read: Reader, signal: Signal): Protocol {
  const own = read.oneOf(`OTEL_EXPORTER_OTLP_${signal}_PROTOCOL`, protocols);
  return own ?? read.oneOf("OTEL_EXPORTER_OTLP_PROTOCOL", protocols) ?? "http/protobuf";
}

function collectorOf(read: Reader, signal: Signal): string | null {
  const given = read.text(`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`) ?? read.text("OTEL_EXPORTER_OTLP_ENDPOINT");
  if (given === undefined) return null;
  const url = URL.parse(given);
  return url && url.host !== "" ? url.origin : shown(given);
}

/** Refuses values that the exporters would ignore with a warning. */
function checkOtlp(read: Reader, signal: Signal): void {
  const isGrpc = protocolOf(read, signal) === "grpc";
  for (const prefix of [`OTEL_EXPORTER_OTLP_${signal}_`, "OTEL_EXPORTER_OTLP_"]) {
    const endpoint = read.text(`${prefix}ENDPOINT`);
    if (endpoint !== undefined && !isEndpoint(endpoint, isGrpc)) {
      const example = isGrpc ? "http://127.0.0.1:4317" : "http://127.0.0.1:4318";
      read.refuse(`${prefix}ENDPOINT`, `is "${shown(withoutSecrets(endpoint))}"`, `use a URL such as ${example}`);
    }
    read.oneOf(`${prefix}COMPRESSION`, compressions);
    read.number(`${prefix}TIMEOUT`, [1, longestMs], false);
    const headers = read.text(`${prefix}HEADERS`);
    if (headers !== undefined && pairsOf(headers) === undefined) {
      read.refuse(`${prefix}HEADERS`, "is not shown here", "use name=value, separated by commas, percent-encoded");
    }
  }
}

/** gRPC also accepts `host:port`. It uses TLS then, which needs a host name. */
function isEndpoint(given: string, isGrpc: boolean): boolean {
  const [, host] = /^([A-Za-z0-9._-]+):\d{1,5}$/.exec(given) ?? [];
  if (isGrpc && host !== undefined) return !isIPv4(host);
  return URL.canParse(given) && /^https?:$/.test(new URL(given).protocol);
}

/** Other standard formats, which a fleet may set for its other services, are ignored if a supported one is named as well. */
function propagatesOf(read: Reader): TelemetrySettings["propagates"] {
  const name = "OTEL_PROPAGATORS";
  const given = read.text(name) ?? "tracecontext,baggage";
  const names = given.split(",").map((each) => each.trim().toLowerCase());
  const unknown = names.find((each) => !propagators.includes(each) && !otherPropagators.includes(each));
  if (unknown !== undefined || !names.some((each) => propagators.includes(each))) {
    read.refuse(name, `is "${shown(unknown ?? given)}"`, `use ${listed(propagators)}`);
  }
  return { trace: names.includes("tracecontext"), baggage: names.includes("baggage") };
}

function resourceOf(read: Reader): TelemetrySettings["resource"] {
  const name = "OTEL_RESOURCE_ATTRIBUTES";
  const given = read.text(name);
  const attributes = given === undefined ? {} : pairsOf(given);
  if (attributes === undefined) {
    read.refuse(name, `is "${shown(given ?? "")}"`, "use name=value, separated by commas, percent-encoded");
  }
  const serviceName = read.text("OTEL_SERVICE_NAME");
  return {
    "service.name": "millpond",
    ...attributes,
    ...(serviceName !== undefined && { "service.name": serviceName }),
  };
}

/** Undefined: the text is no list of `name=value`. */
function pairsOf(text: string): { [name: string]: string } | undefined {
  const pairs: [string, string][] = [];
  for (const pair of text.split(",").filter((each) => each.trim() !== "")) {
    const split = pair.indexOf("=");
    if (split <= 0) return undefined;
    try {
      pairs.push([pair.slice(0, split).trim(), decodeURIComponent(pair.slice(split + 1).trim())]);
    } catch {
      return undefined; // invalid percent-encoding
    }
  }
  return Object.fromEntries(pairs);
}

/** An endpoint without user, password and query, even if the rest is not a valid URL. */
function withoutSecrets(endpoint: string): string {
  return endpoint.replace(/\?.*/s, "?***").replace(/^([^@]*:\/\/)?.*@/s, "$1***@");
}

function shown(text: string): string {
  return text.slice(0, 100);
}

function listed(values: readonly string[]): string {
  return `${values.slice(0, -1).join(", ")} or ${values.at(-1)}`;
}
