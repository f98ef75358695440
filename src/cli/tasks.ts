import { type Command, isOn, jsonFlag } from "./command.ts";
import { clientFlags, withClient } from "./connection.ts";
import { duration } from "./format.ts";
import { table } from "./terminal.ts";

/** Lists the tasks that jobs may name. */
export const tasks: Command = {
  usage: "tasks",
  summary: "list the tasks that jobs may name",
  flags: [...clientFlags, jsonFlag],
  examples: ["millpond tasks", "millpond tasks --json"],
  run: (invocation) =>
    withClient(invocation, async (client) => {
      const { flags, terminal } = invocation;
      const found = await client.tasks();
      if (isOn(flags, "--json")) {
        terminal.print(JSON.stringify({ tasks: found }));
        return 0;
      }
      const columns = [
        { title: "TASK" },
        { title: "POOL" },
        { title: "TAKES" },
        { title: "RETURNS" },
        { title: "TRIES", align: "right" },
        { title: "TIMEOUT", align: "right" },
        { title: "WHAT IT DOES" },
      ] as const;
      const rows = found.map(({ name, pool, inputType, outputType, maxAttempts, timeoutMs, description }) => [
        name,
        pool,
        inputType || "JSON, bytes",
        outputType || "JSON, bytes",
        String(maxAttempts),
        duration(timeoutMs),
        description,
      ]);
      for (const each of table(terminal, columns, rows)) terminal.print(each);
      return 0;
    }),
};
