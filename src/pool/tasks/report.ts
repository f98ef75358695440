/** The report on one file of a tasks folder, as plain data, because it may come from another thread. */
import { fileURLToPath } from "node:url";
import type { ResourceReader } from "../resources/definition.ts";
import type { AnyTask } from "../task.ts";
import { readDefinition, type Surroundings, type TaskReport } from "./definition.ts";
import { explainImport } from "./import-fault.ts";
import { importTask } from "./module.ts";
import { lineOf, type SourcePosition } from "./source-position.ts";

export type FileReport =
  | { readonly kind: "task"; readonly task: TaskReport }
  | { readonly kind: "ignored"; readonly why: string }
  /** Lines that start with the file and position. */
  | { readonly kind: "faulty"; readonly faults: readonly string[] };

/** Imports the file (a URL) in this thread and checks what it exports. Calls `onTask` with the definition of a valid task. */
export async function reportOf(
  file: string,
  surroundings: Surroundings,
  readResource: ResourceReader,
  onTask: (task: AnyTask, report: TaskReport) => Promise<void>,
): Promise<FileReport> {
  const path = fileURLToPath(file);
  const at = (option: string) => ({ file: path, line: lineOf(path, option) ?? lineOf(path, "defineTask(") });
  try {
    const exported = await importTask(file);
    if (exported.kind === "other") return { kind: "ignored", why: exported.why };
    if (exported.kind === "mistake") return faulty(fault(path, at(exported.option), exported.why));
    const read = await readDefinition(exported.task, surroundings, readResource);
    if (!("name" in read)) return faulty(...read.map(({ option, what }) => fault(path, at(option), what)));
    await onTask(exported.task, read);
    return { kind: "task", task: read };
  } catch (error) {
    const { position, message } = explainImport(error, path);
    return faulty(fault(path, position, message));
  }
}

export function faulty(...faults: readonly string[]): FileReport {
  return { kind: "faulty", faults };
}

/**
 * `path:line: message`; if the fault is in another file, its position precedes the message.
 */
export function fault(path: string, position: SourcePosition | undefined, message: string): string {
  const line = position?.line === undefined ? "" : `:${position.line}`;
  if (position === undefined || position.file === path) return `${path}${line}: ${message}`;
  return `${path}: ${position.file}${line}: ${message}`;
}
