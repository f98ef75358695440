/** Reads Prometheus' text format 0.0.4 strictly: what is not exactly as the format says throws. */
export type Sample = {
  readonly name: string;
  readonly labels: { readonly [name: string]: string };
  readonly value: number;
};
export type Family = {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly samples: Sample[];
};

const sampleLine = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (NaN|[+-]Inf|-?[0-9.]+(?:e[+-]?[0-9]+)?)$/;
const label = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/;

export function parseExposition(text: string): ReadonlyMap<string, Family> {
  if (!text.endsWith("\n")) throw new Error("the last line does not end");
  const families = new Map<string, Family>();
  let family: Family | undefined;
  let help: { readonly name: string; readonly text: string } | undefined;
  for (const line of text.slice(0, -1).split("\n")) {
    const [, keyword, name = "", rest = ""] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (keyword === "HELP") {
      if (families.has(name) || help) throw new Error(`HELP of ${name} comes again, or TYPE is missing before it`);
      help = { name, text: rest };
    } else if (keyword === "TYPE") {
      if (help?.name !== name) throw new Error(`TYPE of ${name} does not follow its HELP`);
      family = { name, help: help.text, type: rest, samples: [] };
      families.set(name, family);
      help = undefined;
    } else family?.samples.push(parseSample(line, family));
  }
  for (const each of families.values()) check(each);
  return families;
}

function parseSample(line: string, { name: family, type }: Family): Sample {
  const [, name = "", labels = "", value = ""] = sampleLine.exec(line) ?? [];
  const suffixes = type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
  if (!suffixes.some((suffix) => name === family + suffix)) throw new Error(`${line} stands below ${family}`);
  return { name, labels: parseLabels(labels), value: Number(value.replace("Inf", "Infinity")) };
}

function parseLabels(text: string): { [name: string]: string } {
  const labels: { [name: string]: string } = {};
  for (let rest = text; rest !== ""; ) {
    const [whole, name = "", value = ""] = label.exec(rest) ?? [];
    if (whole === undefined || name in labels) throw new Error(`{${text}} is not a list of labels`);
    labels[name] = value.replace(/\\(.)/g, (_, character) => (character === "n" ? "\n" : character));
    rest = rest.slice(whole.length);
  }
  return labels;
}

function check({ name, type, samples }: Family): void {
  if (samples.length === 0) throw new Error(`${name} has no sample`);
  const keys = samples.map((sample) => JSON.stringify([sample.name, sample.labels]));
  if (new Set(keys).size < keys.length) throw new Error(`a series of ${name} comes twice`);
  if (type === "counter" && !name.endsWith("_total")) throw new Error(`${name} is a counter`);
  if (type !== "histogram") return;
  const series = new Map<string, Sample[]>();
  for (const sample of samples) {
    const { le: _, ...others } = sample.labels;
    const key = JSON.stringify(others);
    series.set(key, [...(series.get(key) ?? []), sample]);
  }
  for (const own of series.values()) checkHistogram(name, own);
}

/** Buckets rise, the last is +Inf and equals the count, and the sum is there. */
function checkHistogram(name: string, samples: readonly Sample[]): void {
  const buckets = samples.filter((sample) => sample.name === `${name}_bucket`);
  const [count, more] = samples.filter((sample) => sample.name === `${name}_count`);
  const bounds = buckets.map(({ labels }) => Number(labels["le"]?.replace("+Inf", "Infinity")));
  const isRising = (numbers: readonly number[], by: number) =>
    numbers.every((each, index) => index === 0 || each - numbers[index - 1]! >= by);
  if (!isRising(bounds, Number.MIN_VALUE) || bounds.at(-1) !== Infinity)
    throw new Error(`bounds of ${name}: ${bounds.join()}`);
  if (
    !isRising(
      buckets.map(({ value }) => value),
      0,
    )
  )
    throw new Error(`buckets of ${name} are not cumulative`);
  if (!count || more || count.value !== buckets.at(-1)?.value) throw new Error(`the count of ${name} is wrong`);
  if (!samples.some((sample) => sample.name === `${name}_sum`)) throw new Error(`the sum of ${name} is missing`);
}

/** The value of the one series with these labels, and others it may have; undefined: there is none. */
export function valueOf(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: { readonly [name: string]: string } = {},
): number | undefined {
  const family = families.get(name) ?? families.get(name.replace(/_(?:bucket|sum|count)$/, ""));
  const isMeant = (sample: Sample) =>
    sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value);
  const found = family?.samples.filter(isMeant) ?? [];
  if (found.length > 1) throw new Error(`${found.length} series of ${name} have these labels`);
  return found[0]?.value;
}
