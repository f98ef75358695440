import type { MillpondClientError } from "../../../clients/typescript/index.ts";
import { type Command, type FlagValues, isOn, jsonFlag, flagText, UsageError } from "../command.ts";
import { clientFlags, withClient } from "../connection.ts";
import { size } from "../print/format.ts";
import { durationOf } from "../times.ts";

/** Profiles the threads of a running server, or writes their heaps. */
export const profile: Command = {
  usage: "profile",
  summary: "profile the threads of a running server, to files on its disk",
  notes:
    "Chrome DevTools and many editors open the files; see docs/operations.md. A heap snapshot contains payloads, and its " +
    "thread is blocked until it is written. The exit code is 1 when a thread could not be profiled.",
  flags: [
    { usage: "--cpu", doc: "where the threads spend their time (default)" },
    { usage: "--allocations", doc: "which functions allocated the memory that is in use" },
    { usage: "--heap", doc: "everything on the heap of --thread" },
    { usage: "--thread <name>", doc: "main, store, or a pool for all of its threads (default: all threads)" },
    { usage: "--for <duration>", doc: "how long to record, 1s to 1m (default: 10s)" },
    ...clientFlags,
    jsonFlag,
  ],
  examples: ["millpond profile", "millpond profile --thread cpu --for 30s", "millpond profile --heap --thread main"],
  run: async (invocation) => {
    const { flags, terminal } = invocation;
    const kind = kindOf(flags);
    const target = flagText(flags, "--thread");
    if (kind === "heap" && target === undefined) throw new UsageError("--heap needs --thread: main, store, or a pool");
    const durationMs = durationOf(flags, "--for", { min: "1s", max: "1m" });
    return withClient(invocation, async (client) => {
      const profiles = await client.profile({ kind, target, durationMs }).catch((error: unknown) => {
        const { violations = [] } = error as Partial<MillpondClientError>;
        const wrong = violations.find(({ field }) => field === "target");
        throw wrong ? new UsageError(`--thread ${wrong.description}`) : error;
      });
      if (isOn(flags, "--json")) terminal.print(JSON.stringify({ profiles }));
      else
        for (const { thread, path, bytes, error } of profiles) {
          if (path === null)
            terminal.printError(`millpond: ${thread} could not be profiled: ${error ?? "the reason is not known"}`);
          else terminal.print(`${path}  ${size(bytes)}`);
        }
      return profiles.every(({ path }) => path !== null) ? 0 : 1;
    });
  },
};

function kindOf(flags: FlagValues): "cpu" | "allocations" | "heap" {
  const asked = (["cpu", "allocations", "heap"] as const).filter((kind) => isOn(flags, `--${kind}`));
  if (asked.length > 1) throw new UsageError(`--${asked.join(" and --")} exclude each other`);
  return asked[0] ?? "cpu";
}
