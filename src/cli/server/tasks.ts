import { type Command, isOn, jsonFlag } from "../command.ts";
import { clientFlags, withClient } from "../connection.ts";
import { duration } from "../print/format.ts";
import type { TaskInfo } from "../../../clients/typescript/index.ts";
import { table } from "../print/terminal.ts";

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
      const rows = found.map((task) => [
        task.name,
        task.pool,
        task.inputType || shapeOf(task.inputSchema),
        task.outputType || shapeOf(task.outputSchema),
        String(task.maxAttempts),
        duration(task.timeoutMs),
        task.description,
      ]);
      for (const each of table(terminal, columns, rows)) terminal.print(each);
      return 0;
    }),
};

const maxShapeChars = 60;

/** A schema in one line, such as `{name, width?}`; `--json` prints the whole schema. */
function shapeOf(schema: TaskInfo["inputSchema"]): string {
  if (!schema) return "JSON, bytes";
  const { type, properties, required = [] } = schema.jsonSchema ?? {};
  if (typeof properties !== "object" || properties === null || !Array.isArray(required)) {
    return `JSON (${typeof type === "string" ? type : schema.vendor})`;
  }
  const names = Object.keys(properties).map((name) => (required.includes(name) ? name : `${name}?`));
  const text = `{${names.join(", ")}}`;
  return text.length <= maxShapeChars ? text : `${text.slice(0, maxShapeChars - 2)}…}`;
}
