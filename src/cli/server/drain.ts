import { type Command, jsonFlag, printAnswer } from "../command.ts";
import { clientFlags, withClient } from "../connection.ts";
import { durationOf } from "../times.ts";

const bareWait = "30s";

/** Drains a server: it starts no more jobs and accepts none. */
export const drain: Command = {
  usage: "drain",
  summary: "make the server start no more jobs and accept none",
  notes:
    "Running jobs finish, queued ones stay in the store. The process stays until it gets SIGTERM; a drain can only be " +
    "undone by a restart. With --wait the exit code is 1 when jobs still run after the wait.",
  flags: [
    {
      usage: "--wait [duration]",
      doc: `wait until no job runs, at most 1h (without a value: ${bareWait})`,
      bare: bareWait,
    },
    ...clientFlags,
    jsonFlag,
  ],
  examples: ["millpond drain", "millpond drain --wait 5m"],
  run: async (invocation) => {
    const waitMs = durationOf(invocation.flags, "--wait", { min: "0s", max: "1h" });
    return withClient(invocation, async (client) => {
      const { running, queued } = await client.drain({ waitMs });
      printAnswer(invocation, { running, queued }, [`draining: ${running} running, ${queued} queued`]);
      return waitMs !== undefined && running > 0 ? 1 : 0;
    });
  },
};
