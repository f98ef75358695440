import { messageOf } from "../../errors.ts";
import { type Command, isOn, jsonFlag } from "../command.ts";

const timeoutMs = 5000;
const anyAddress: { readonly [host: string]: string } = { "0.0.0.0": "127.0.0.1", "::": "::1" };

/** Queries the HTTP port for whether the server is ready, or alive. */
export const health: Command = {
  usage: "health",
  summary: "exit with 0 when the server on this machine is ready, or print why it is not",
  notes:
    "Reads the same file and MILLPOND_ variables as `serve` to find the server. To decide about a restart, use " +
    "--alive: a restart fixes neither a full disk nor a broken pool, and cuts a drain short.",
  async flags() {
    const { configFlag, settingFlags } = await import("./configuration.ts");
    return [
      { usage: "--alive", doc: "only check whether it is alive, which it is until its store has failed" },
      configFlag,
      ...settingFlags(["http.host", "http.port"]),
      jsonFlag,
    ];
  },
  examples: ["millpond health", "millpond health --alive --http-port 8080"],
  run: async (invocation) => {
    const { flags, terminal } = invocation;
    const { loadConfig } = await import("./configuration.ts");
    const { http } = (await loadConfig(invocation)).config;
    const host = anyAddress[http.host] ?? http.host;
    const url = `http://${host.includes(":") ? `[${host}]` : host}:${http.port}${isOn(flags, "--alive") ? "/healthz" : "/readyz"}`;
    const { isServing, message, reasons, paused } = await ask(url);
    if (isOn(flags, "--json")) terminal.print(JSON.stringify({ serving: isServing, url, message, reasons, paused }));
    else if (isServing) {
      terminal.print("SERVING");
      for (const { pool, by, since } of paused) terminal.print(`pool ${pool} is paused by ${by} since ${since}`);
    } else
      terminal.printError(
        `millpond: the server is not ${isOn(flags, "--alive") ? "alive" : "ready"} (${url}): ${message}`,
      );
    return isServing ? 0 : 1;
  },
};

type ProbeAnswer = {
  readonly isServing: boolean;
  /** `SERVING`, or why it is not, for people. */
  readonly message: string;
  /** Pools that an operator paused; the server is ready nevertheless. */
  readonly paused: readonly { readonly pool: string; readonly by: string; readonly since: string }[];
  /** The reasons that the server reports; empty when it is ready, or does not answer. */
  readonly reasons: readonly unknown[];
};

async function ask(url: string): Promise<ProbeAnswer> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
    const text = (await response.text()).trim();
    const { reasons, paused } = detailsIn(text);
    const message = reasons.map(({ message }) => message).join("; ") || text.slice(0, 200) || `HTTP ${response.status}`;
    return { isServing: response.ok, message: response.ok ? "SERVING" : message, reasons, paused };
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    const isHttp = (cause as Partial<Error>).name !== "HTTPParserError";
    const remedy = isHttp ? 'start it with "millpond serve"' : "give the HTTP port, 7718 by default, with --http-port";
    return { isServing: false, message: `${messageOf(cause)}; ${remedy}`, reasons: [], paused: [] };
  }
}

/** Parses defensively: the process at that port may not be Millpond. */
function detailsIn(text: string): Pick<ProbeAnswer, "paused"> & { readonly reasons: readonly { message: string }[] } {
  try {
    const { reasons, paused } = JSON.parse(text) as { readonly reasons?: unknown; readonly paused?: unknown };
    const listOf = (value: unknown, field: string) =>
      Array.isArray(value) ? value.filter((each) => typeof each?.[field] === "string") : [];
    return { reasons: listOf(reasons, "message"), paused: listOf(paused, "pool") };
  } catch {
    return { reasons: [], paused: [] };
  }
}
