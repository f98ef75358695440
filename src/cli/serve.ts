import { messageOf } from "../errors.ts";
import type { RunningServer } from "../server.ts";
import { version } from "../version.ts";
import { type Command, type Invocation, isOn, jsonFlag } from "./command.ts";
import { configFlag, loadConfig, settingFlags } from "./configuration.ts";

/** The store or another part failed for good (EX_SOFTWARE of sysexits.h). */
const failedExitCode = 70;
const signals = { SIGINT: 130, SIGTERM: 143 } as const;

/** Runs the server until SIGINT or SIGTERM, then drains it; a second signal ends it at once. */
export const serve: Command = {
  usage: "serve",
  summary: "run the server",
  notes:
    "Every setting is a flag, a MILLPOND_ variable, or a key of the file; docs/configuration.md describes them. SIGINT " +
    "and SIGTERM let running jobs finish and exit with 0; a second one ends the server at once, and what it accepted " +
    "is run after the next start. Exit codes: 2 wrong configuration, 1 cannot start, 70 failed while running.",
  flags: [configFlag, jsonFlag, ...settingFlags()],
  examples: ["millpond serve", "millpond serve --data-dir /var/lib/millpond --pools '{cpu: {workers: 4}}'"],
  outlivesReader: true,
  run: runServer,
};

async function runServer({ flags, env, terminal }: Invocation): Promise<number> {
  const config = await loadConfig({ flags, env });
  const stopAsked = listenForSignals();
  const { startServer } = await import("../server.ts");
  const server = await startServer(config);

  const say = (event: string, facts: object, lines: readonly string[]) => {
    if (isOn(flags, "--json")) terminal.print(JSON.stringify({ event, ...facts }));
    else for (const line of lines) terminal.print(line);
  };
  const { grpcAddress, httpAddress, store, pools, tasks } = server;
  say("serving", { version, grpc: grpcAddress, http: httpAddress, store, pools, tasks }, [
    `millpond ${version} is serving`,
    `  gRPC   ${grpcAddress}`,
    `  HTTP   http://${httpAddress}`,
    `  store  ${store === "memory" ? "memory: jobs are lost at the end" : store}`,
    `  pools  ${pools.map(poolText).join(", ")}`,
    `  tasks  ${tasks.join(", ")}`,
  ]);

  const end = await Promise.race([stopAsked, server.failed]);
  if (end instanceof Error) {
    await server.stop().catch(() => undefined); // the first failure is the one to tell
    terminal.complain(`millpond: the server failed and stopped: ${messageOf(end)}`);
    return failedExitCode;
  }
  say("stopping", { signal: end }, [`${end}: finishing what runs; once more to end at once`]);
  await server.stop();
  say("stopped", {}, ["stopped"]);
  return 0;
}

/** Resolves with the first signal. The second ends the process, whatever it is doing. */
function listenForSignals(): Promise<NodeJS.Signals> {
  const { promise, resolve: first } = Promise.withResolvers<NodeJS.Signals>();
  let isAsked = false;
  for (const [signal, exitCode] of Object.entries(signals)) {
    process.on(signal, () => {
      if (isAsked) process.exit(exitCode);
      isAsked = true;
      first(signal as NodeJS.Signals);
    });
  }
  return promise;
}

function poolText({ name, minWorkers, maxWorkers }: RunningServer["pools"][number]): string {
  const count = minWorkers === maxWorkers ? maxWorkers : `${minWorkers}-${maxWorkers}`;
  return `${name} (${count} ${maxWorkers === 1 ? "worker" : "workers"})`;
}
