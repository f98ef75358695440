import { messageOf } from "../errors.ts";
import { type Command, isOn, jsonFlag } from "./command.ts";
import { configFlag, loadConfig, settingFlags } from "./configuration.ts";

const timeoutMs = 5000;
const anyAddress: { readonly [host: string]: string } = { "0.0.0.0": "127.0.0.1", "::": "::1" };

/** Asks the HTTP port whether the server serves. */
export const health: Command = {
  usage: "health",
  summary: "exit with 0 when the server on this machine serves",
  notes: "Reads the same file and MILLPOND_ variables as `serve`, so it asks the server that they describe.",
  flags: [configFlag, ...settingFlags(["http.host", "http.port"]), jsonFlag],
  examples: ["millpond health", "millpond health --http-port 8080"],
  run: async (invocation) => {
    const { flags, terminal } = invocation;
    const { http } = await loadConfig(invocation);
    const host = anyAddress[http.host] ?? http.host;
    const url = `http://${host.includes(":") ? `[${host}]` : host}:${http.port}/healthz`;
    const { isServing, says } = await ask(url);
    if (isOn(flags, "--json")) terminal.print(JSON.stringify({ serving: isServing, url, says }));
    else if (isServing) terminal.print("SERVING");
    else terminal.complain(`millpond: ${url} is not serving: ${says}`);
    return isServing ? 0 : 1;
  },
};

async function ask(url: string): Promise<{ readonly isServing: boolean; readonly says: string }> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
    const text = (await response.text()).trim().slice(0, 200);
    return { isServing: response.ok, says: text || `HTTP ${response.status}` };
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    return { isServing: false, says: `${messageOf(cause)}; start it with "millpond serve"` };
  }
}
