import { type Command, jsonFlag, printAnswer, UsageError } from "../command.ts";
import { clientFlags, withClient } from "../connection.ts";
import { durationOf } from "../times.ts";

const levels = ["debug", "info", "warn", "error", "silent", "configured"] as const;

/** Changes what a running server logs. */
export const logLevel: Command = {
  usage: "log-level <level>",
  summary: "change which lines a running server logs",
  notes: `The level is one of ${levels.join(", ")}; "configured" is the server's setting log.level.`,
  flags: [
    {
      usage: "--for <duration>",
      doc: "how long, 1s to 24h; then the configured level is restored (default: until the next change)",
    },
    ...clientFlags,
    jsonFlag,
  ],
  examples: ["millpond log-level debug --for 10m", "millpond log-level configured"],
  run: async (invocation) => {
    const { args, flags } = invocation;
    const level = levels.find((known) => known === args[0]);
    if (!level) throw new UsageError(`the level is "${args[0] ?? ""}": must be one of ${levels.join(", ")}`);
    const forMs = durationOf(flags, "--for", { min: "1s", max: "24h" });
    return withClient(invocation, async (client) => {
      const changed = await client.setLogLevel(level, { forMs });
      return printAnswer(invocation, changed, [`log level: ${changed.level}, previously ${changed.previous}`]);
    });
  },
};
