import { relative } from "node:path";
import { systemClock } from "../../../clients/typescript/clock.ts";
import { saveCompiledCode } from "../../code-cache.ts";
import { StartError } from "../../errors.ts";
import type { Reload, RunningServer } from "../../server.ts";
import { version } from "../../version.ts";
import { type Command, type Invocation, isOn, jsonFlag, UsageError } from "../command.ts";
import { endBroken, endFailed, exitAtOnce, uncleanStop } from "../exit.ts";
import { duration } from "../print/format.ts";
import { listenForSignals } from "./signals.ts";

/**
 * How long the process may take to end by itself once everything is closed; pending requests to an unreachable
 * collector keep it alive.
 */
const lingerMs = 500;
/** Bound on the printed lines about files in the tasks folder that are no tasks. The log has all of them. */
const maxIgnoredShown = 10;
const maxChangedShown = 5;

/** Runs the server until SIGINT, SIGTERM or SIGHUP, then drains it. */
export const serve: Command = {
  usage: "serve",
  summary: "run the server",
  notes:
    "Every setting is a flag, a MILLPOND_ variable, or a key of the file; docs/configuration.md describes them. SIGINT, " +
    "SIGTERM and SIGHUP let running jobs finish, for drainMs at most; a second one asks them to stop at once and puts " +
    "them back into the queue; a third ends the process at once, and running jobs are retried after the next start. SIGUSR2 takes a CPU " +
    "profile of all threads for ten seconds; the log has its path. Exit codes: 0 stopped, " +
    "2 wrong configuration, 1 cannot start, 70 failed while running, 129, 130 or 143 ended by a third signal.",
  async flags() {
    const { configFlag, settingFlags } = await import("./configuration.ts");
    return [configFlag, jsonFlag, ...settingFlags()];
  },
  examples: ["millpond serve", "millpond serve --data-dir /var/lib/millpond --pools '{cpu: {workers: 4}}'"],
  outlivesReader: true,
  run: runServer,
};

async function runServer({ flags, env, terminal }: Invocation): Promise<number> {
  const { loadConfig } = await import("./configuration.ts");
  const { config, file } = await loadConfig({ flags, env });
  if (isOn(flags, "--json")) assertOwnOutput(env);
  const announce = (event: string, facts: object, lines: readonly string[]) => {
    if (isOn(flags, "--json")) terminal.print(JSON.stringify({ event, ...facts }));
    else for (const line of lines) terminal.print(line);
  };
  const signals = listenForSignals((signal, exitCode) =>
    announce("ended", { signal, exitCode }, [`${signal}: ended; running jobs are retried after the next start`]),
  );
  const reportReload = ({ kind, changed, ...facts }: Reload) => {
    const files = changed.slice(0, maxChangedShown).map((path) => relative("", path));
    const more = changed.length > files.length ? ` and ${changed.length - files.length} more` : "";
    const cause = `${files.join(", ")}${more} changed`;
    const lines =
      "why" in facts
        ? [`not reloaded: ${cause}; the previous tasks stay in use`, facts.why]
        : [`reloaded: ${cause}`, `  tasks  ${facts.tasks.join(", ")}`];
    announce(kind, { changed, ...facts }, lines);
  };
  process.once("uncaughtException", (error) => endBroken(error, terminal)); // Node.js itself would wait for all threads to end
  const { startServer } = await import("../../server.ts");
  let profile = () => {};
  process.on("SIGUSR2", () => profile()); // set before there is anything to profile: without a handler the signal ends the process
  const server = await startServer(config, env, reportReload).catch((error: unknown) => {
    endSoon(error instanceof StartError ? error.exitCode : 1);
    throw error;
  });
  saveCompiledCode(); // before the server reports that it is serving; only the first start writes files here

  profile = () => void server.profile();

  await server.logged(); // keeps the log and standard output in the order of events
  const { grpcAddress, httpAddress, store, pools, tasks, ignored } = server;
  announce(
    "serving",
    { version, pid: process.pid, config: file, grpc: grpcAddress, http: httpAddress, store, pools, tasks, ignored },
    [
      `millpond ${version} is serving`,
      `  gRPC   ${grpcAddress}`,
      `  HTTP   http://${httpAddress}`,
      ...(file === undefined ? [] : [`  config ${file}`]),
      `  store  ${store === "memory" ? "memory: jobs are lost when the server stops" : store}`,
      `  pools  ${pools.map(poolText).join(", ")}`,
      `  tasks  ${tasks.join(", ")}`,
      ...ignored.slice(0, maxIgnoredShown).map(({ path, why }) => `         ignored: ${path} (${why})`),
      ...(config.watch ? [`  watch  ${config.tasksDir}, for development: changes are served at once`] : []),
      ...(ignored.length > maxIgnoredShown ? [`         ignored: ${ignored.length - maxIgnoredShown} more`] : []),
      `  stop   kill -TERM ${process.pid}, or Ctrl-C here`,
    ],
  );

  const signal = await Promise.race([signals.first, server.failed]);
  if (signal instanceof Error) return endFailed(server, signal, terminal);
  const drainText = duration(config.drainMs);
  announce("stopping", { signal }, [
    `${signal}: finishing running jobs, for ${drainText} at most; repeat to stop them now`,
  ]);
  const stopping = server.stop();
  void signals.second.then((again) => {
    announce("forcing", { signal: again }, [
      `${again}: stopping running jobs and putting them back into the queue; repeat to end at once`,
    ]);
    void server.force().catch(() => undefined); // fails with the error of `stop`, which is reported below
  });
  const failure = await Promise.race([stopping.catch(uncleanStop), server.failed]);
  if (failure instanceof Error) return endFailed(server, failure, terminal);
  await server.logged();
  announce("stopped", {}, ["stopped"]);
  endSoon(0);
  return 0;
}

/** Refuses settings that would print other lines between the lines of JSON. */
function assertOwnOutput(env: Invocation["env"]): void {
  for (const name of ["OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"]) {
    if (!/\bconsole\b/i.test(env[name] ?? "")) continue;
    throw new UsageError(`--json and ${name}=console both write to standard output: keep one of them`);
  }
}

/** Ends the process soon even if a thread hangs. The timer does not keep it alive. */
function endSoon(exitCode: number): void {
  systemClock.after(lingerMs, () => exitAtOnce(exitCode));
}

function poolText({ name, min, max }: RunningServer["pools"][number]): string {
  const count = min === max ? max : `${min}-${max}`;
  return `${name} (${count} ${max === 1 ? "worker" : "workers"})`;
}
