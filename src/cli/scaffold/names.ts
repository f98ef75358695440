/** What a new task is called in files, in TypeScript and in protobuf. */
import { readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { taskName } from "../../job/task-name.ts";
import { UsageError } from "../command.ts";

/** Of a task `invoice.total`. */
export type TaskNames = {
  /** `invoice.total` */
  readonly task: string;
  /** `invoice-total`: without dots, for `x.test.ts` would be a test and `x.d.ts` a declaration. */
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
    throw new UsageError(`the name "${task}" is that of a built-in task: choose another`);
  }
  const words = task.split(/[._-]+/).filter((word) => word !== "");
  return {
    task,
    file: words.join("-"),
    type: words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join(""),
    proto: words.join("_"),
  };
}

/** By their files: a test holds each file's name to that of its task. Importing them would load libraries of native code. */
export async function builtInNames(): Promise<readonly string[]> {
  const files = (await readdir(builtIn)).filter((file) => /^[^.]+\.[jt]s$/.test(file));
  return files.map((file) => file.replace(/\.[jt]s$/, "").replaceAll("-", "."));
}
