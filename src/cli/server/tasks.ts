import { type Command, jsonFlag, printAnswer } from "../command.ts";
import { clientFlags, withClient } from "../connection.ts";
import { duration } from "../print/format.ts";
import type { TaskInfo } from "../../../clients/typescript/index.ts";
import { type Column, column, numbers, table } from "../print/table.ts";

/** Lists the tasks that jobs may name. */
export const tasks: Command = {
  usage: "tasks",
  summary: "list the tasks that jobs may name",
  flags: [...clientFlags, jsonFlag],
  examples: ["millpond tasks", "millpond tasks --json"],
  run: (invocation) =>
    withClient(invocation, async (client) => {
      const found = await client.tasks();
      return printAnswer(invocation, { tasks: found }, table(invocation.terminal, columns, found));
    }),
};

const columns: readonly Column<TaskInfo>[] = [
  column("TASK", ({ name }) => name),
  column("POOL", ({ pool }) => pool),
  column("TAKES", ({ inputType, inputSchema }) => inputType || shapeOf(inputSchema)),
  column("RETURNS", ({ outputType, outputSchema }) => outputType || shapeOf(outputSchema)),
  numbers("TRIES", ({ maxAttempts }) => maxAttempts),
  numbers("TIMEOUT", ({ timeoutMs }) => duration(timeoutMs)),
  column("WHAT IT DOES", ({ description }) => description),
];

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
