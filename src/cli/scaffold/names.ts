/** The names of a new task in files, in TypeScript and in protobuf. */
import { readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { taskName } from "../../job/task-name.ts";
import { UsageError } from "../command.ts";

/** Examples are for a task `invoice.total`. */
export type TaskNames = {
  /** `invoice.total` */
  readonly task: string;
  /** `invoice-total`: without dots, because `x.test.ts` would be a test and `x.d.ts` a declaration file. */
  readonly file: string;
  /** `InvoiceTotal` */
  readonly type: string;
  /** `invoice_total` */
  readonly proto: string;
};

const builtIn = fileURLToPath(new URL("../../tasks/", import.meta.url));

/** Throws a UsageError when the server would refuse a task of that name. */
export async function namesOf(task: string): Promise<TaskNames> {
  if (!taskName.pattern.test(task)) throw new UsageError(`the name ${JSON.stringify(task)} is not ${taskName.words}`);
  if ((await builtInNames()).includes(task)) {
    throw new UsageError(`"${task}" is the name of a built-in task: choose another`);
  }
  const words = task.split(/[._-]+/).filter((word) => word !== "");
  return {
    task,
    file: words.join("-"),
    type: words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join(""),
    proto: words.join("_"),
  };
}

/** From the file names, which a test compares with the task names. Importing the tasks would load native libraries. */
export async function builtInNames(): Promise<readonly string[]> {
  const files = (await readdir(builtIn)).filter((file) => /^[^.]+\.[jt]s$/.test(file));
  return files.map((file) => file.replace(/\.[jt]s$/, "").replaceAll("-", "."));
}
