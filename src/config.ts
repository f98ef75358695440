/**
 * Turns a file, the environment and flags into a `Config`. Pure: the file's text, the environment and the number of
 * cores are passed in.
 *
 * A flag wins over the environment, that over the file, that over the default. A structured setting (`pools`, `tasks`,
 * `rate.clients`) is taken as a whole from the first of them that has it.
 */
import { parseDocument } from "yaml";
import { type Checked, type Issues, poolShape } from "./config/checks.ts";
import { type AnyOption, type AsGiven, type Key, options, otherVariables, secretKeys } from "./config/options.ts";
import { closest } from "./closest.ts";
import { isLoopback, type PoolConfig, portClash, shown, sizePool } from "./config/rules.ts";
import { withoutServiceLinks } from "./config/service-links.ts";
import { StartError } from "./errors.ts";

const knownKeys = options.flatMap(({ key }) => (key.includes(".") ? [key, key.slice(0, key.indexOf("."))] : [key]));
const envPrefix = "MILLPOND_";

/** A client's rate: `perSecond` jobs, 0 for no limit, and `burst` at once after a pause. */
export type RateConfig = { readonly perSecond: number; readonly burst: number };

/** What the server runs with, by the keys of the table. */
export type Config = Omit<AsGiven, "pools" | "rate" | "autoscale"> & {
  readonly pools: { readonly [name: string]: PoolConfig };
  readonly autoscale: AsGiven["autoscale"] & { readonly cores: number };
  readonly rate: RateConfig & { readonly clients: { readonly [client: string]: RateConfig } };
};

export type ConfigSources = {
  /** The configuration file; null when there is none. `name` is for messages. */
  readonly file: { readonly name: string; readonly text: string } | null;
  /** An empty variable counts as not given, and so does a service link of Kubernetes. */
  readonly env: { readonly [name: string]: string | undefined };
  /** By flag, such as `--grpc-port`. */
  readonly flags: { readonly [flag: string]: string | undefined };
  /** Cores that the pools may count on; at least 1. */
  readonly cores: number;
};

/** Makes the configuration. Throws one StartError (exit code 2) that lists every mistake and what to do about it. */
export function parseConfig({ file, env: variables, flags, cores }: ConfigSources): Config {
  const env = withoutServiceLinks(variables);
  const mistakes: string[] = [];
  const fromFile = file ? valuesOf(file, mistakes) : new Map<string, unknown>();
  mistakes.push(...unknownVariables(env));

  const values = new Map<Key, unknown>();
  const sources = new Map<Key, string>();
  for (const each of options) {
    const { key, flag } = each;
    const [source, given, isText] =
      flags[flag] !== undefined
        ? [flag, flags[flag], true]
        : env[each.env]
          ? [each.env, env[each.env], true]
          : fromFile.has(key)
            ? [`${key} in ${file?.name}`, fromFile.get(key), false]
            : [key, each.default, false];
    const checked = check(each, given, isText);
    sources.set(key, source);
    if (checked.success) values.set(key, checked.data);
    else mistakes.push(...describe(each, source, isText ? asStructure(given) : given, checked.error.issues));
  }

  const config = complete(values, (key) => sources.get(key) ?? key, cores, mistakes);
  if (mistakes.length > 0) {
    const count = mistakes.length === 1 ? "a mistake" : `${mistakes.length} mistakes`;
    throw new StartError(`the configuration has ${count}:\n  ${mistakes.join("\n  ")}`, { exitCode: 2 });
  }
  return config;
}

/** Text is taken as it is where the setting takes text, and read as YAML where it does not. */
function check({ check }: AnyOption, given: unknown, isText: boolean): Checked {
  const asGiven = check.safeParse(given);
  return asGiven.success || !isText ? asGiven : check.safeParse(asStructure(given));
}

function asStructure(given: unknown): unknown {
  const document = parseDocument(String(given));
  try {
    return document.errors.length > 0 ? given : document.toJS();
  } catch {
    return given; // aliases that unfold without end: the check refuses the text as it stands
  }
}

function describe(option: AnyOption, source: string, given: unknown, issues: Issues): string[] {
  return issues.map(({ path, message }) => {
    const inside = (at: unknown, step: PropertyKey) =>
      typeof at === "string" ? at : (at as Record<PropertyKey, unknown> | undefined)?.[step]; // a list may be given as text
    const value = path.reduce<unknown>(inside, given);
    if (path.length === 0) {
      const why = (isMap(option.default) && yamlError(given)) || message;
      return `${source} is ${unlessSecret(option.key, value)}: ${why} (default: ${option.default === null ? "none" : shown(option.default)})`;
    }
    const place = [option.key, ...path].join(".");
    const where = source.startsWith(option.key) ? source.replace(option.key, place) : `${place} in ${source}`;
    return `${where} is ${value === undefined ? "missing" : unlessSecret(option.key, value)}: ${message}`;
  });
}

function isMap(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Why text given for a map is not YAML; undefined if it is, and for what is no text. */
function yamlError(given: unknown): string | undefined {
  const [error] = typeof given === "string" ? parseDocument(given).errors : [];
  return error && `must be YAML: ${reasonOf(error)}`;
}

/** Codes of the parser's errors whose reason quotes the text, which may be a secret. */
const quoting: readonly string[] = ["BAD_DIRECTIVE", "BAD_DQ_ESCAPE", "TAG_RESOLVE_FAILED", "UNEXPECTED_TOKEN"];

/** The parser's reason and the place, without any of the text: "unexpected token at line 2, column 7". */
function reasonOf({ code, message }: { readonly code: string; readonly message: string }): string {
  const [reason = ""] = message.split(":\n");
  if (!quoting.includes(code)) return reason;
  return `${code.toLowerCase().replaceAll("_", " ")}${/ at line \d+, column \d+$/.exec(reason)?.[0] ?? ""}`;
}

/** The value as a message shows it, unless this key, or one in this section, may hold a secret. */
function unlessSecret(key: string, value: unknown): string {
  return isSecret(key) ? "not shown here" : shown(value);
}

function isSecret(key: string): boolean {
  return secretKeys.some((secret) => secret === key || secret.startsWith(`${key}.`));
}

/** The file's settings by key. An empty section or setting counts as not given. */
function valuesOf(file: { readonly name: string; readonly text: string }, mistakes: string[]): Map<string, unknown> {
  const values = new Map<string, unknown>();
  const document = parseDocument(file.text, { prettyErrors: true });
  const found = [...document.errors, ...document.warnings].map(reasonOf);
  for (const reason of new Set(found)) mistakes.push(`${file.name} is not YAML: ${reason}`);
  if (document.errors.length > 0) return values;
  try {
    collect(document.toJS(), "");
  } catch {
    mistakes.push(
      `${file.name} cannot be read: an alias has no anchor before it, or aliases expand to a very large file`,
    );
  }
  return values;

  function collect(node: unknown, section: string): void {
    if (node === null || node === undefined) return;
    if (typeof node !== "object" || Array.isArray(node)) {
      const kind = Array.isArray(node) ? "a list" : "a single value";
      const what =
        section === "" ? `${file.name} is ${kind}` : `${section} in ${file.name} is ${unlessSecret(section, node)}`;
      mistakes.push(`${what}: must be a set of keys, such as "grpc: {port: 7717}"`);
      return;
    }
    for (const [name, value] of Object.entries(node)) {
      const key = section === "" ? name : `${section}.${name}`;
      if (options.some((option) => option.key === key)) {
        if (values.has(key)) mistakes.push(`${key} in ${file.name} is given twice: keep one`);
        if (value !== null) values.set(key, value);
      } else if (options.some((option) => option.key.startsWith(`${key}.`))) {
        collect(value, key);
      } else {
        mistakes.push(unknown(`${key} in ${file.name}`, key, knownKeys));
      }
    }
  }
}

function unknownVariables(env: ConfigSources["env"]): string[] {
  const known = [...options.map((option) => option.env), ...Object.keys(otherVariables)];
  return Object.keys(env)
    .filter((name) => name.startsWith(envPrefix) && !known.includes(name))
    .map((name) =>
      unknown(
        name,
        name.slice(envPrefix.length),
        known.map((other) => other.slice(envPrefix.length)),
        envPrefix,
      ),
    );
}

function unknown(what: string, name: string, known: readonly string[], prefix = ""): string {
  const near = closest(name, known);
  return `${what} is not a setting: ${near ? `did you mean ${prefix}${near}?` : "docs/configuration.md lists them all"}`;
}

/** Joins the values into a configuration and checks what concerns several of them; what failed before is left out. */
function complete(
  values: ReadonlyMap<Key, unknown>,
  sourceOf: (key: Key) => string,
  cores: number,
  mistakes: string[],
): Config {
  const given = nest(values);
  const has = (...keys: readonly Key[]): boolean => keys.every((key) => values.has(key));

  for (const key of ["grpc.host", "http.host"] as const) {
    const host = values.get(key) as string;
    if (has(key, "allowInsecure") && !given.allowInsecure && !isLoopback(host)) {
      mistakes.push(
        `${sourceOf(key)} is ${shown(host)}, which other machines can reach, and there is neither encryption ` +
          "nor authentication: must be 127.0.0.1, ::1 or localhost; or set --allow-insecure (MILLPOND_ALLOW_INSECURE=true) " +
          "when everything that can reach it is trusted",
      );
    }
  }
  if (has("grpc.host", "grpc.port", "http.host", "http.port") && portClash(given.grpc, given.http)) {
    mistakes.push(`${sourceOf("http.port")} is ${given.http.port}, as is ${sourceOf("grpc.port")}: must be two ports`);
  }
  if (has("limits.messageBytes", "limits.inputBytes") && given.limits.inputBytes > given.limits.messageBytes) {
    mistakes.push(
      `${sourceOf("limits.inputBytes")} is ${given.limits.inputBytes}: must be at most ` +
        `${sourceOf("limits.messageBytes")}, which is ${given.limits.messageBytes}`,
    );
  }
  if (has("watch", "tasksDir") && given.watch && given.tasksDir === null) {
    mistakes.push(`${sourceOf("watch")} is true, and there is no tasksDir to watch: set --tasks-dir`);
  }
  const pools: Record<string, PoolConfig> = {};
  if (has("pools")) {
    for (const [name, pool] of Object.entries({ cpu: poolShape.parse({}), io: poolShape.parse({}), ...given.pools })) {
      const sized = sizePool(name, pool, cores);
      if (typeof sized !== "string") pools[name] = sized;
      else mistakes.push(`${sourceOf("pools")}: pools.${name} ${sized}`);
    }
  }
  const clients = Object.entries(given.rate?.clients ?? {}).map(([name, rate]) => [
    name,
    { perSecond: rate.perSecond, burst: rate.burst ?? given.rate.burst },
  ]);
  const autoscale = { ...given.autoscale, cores: given.autoscale?.cores ?? cores };
  return { ...given, pools, autoscale, rate: { ...given.rate, clients: Object.fromEntries(clients) } };
}

function nest(values: ReadonlyMap<Key, unknown>): AsGiven {
  const nested: Record<string, unknown> = {};
  for (const [key, value] of values) {
    const [head, name] = key.split(".") as [string, string?];
    if (name === undefined) nested[head] = value;
    else nested[head] = { ...(nested[head] as object | undefined), [name]: value };
  }
  return nested as AsGiven;
}
