/** Finds the task among the exports of a module. */
import { type AnyTask, isTask } from "../task.ts";

export type Exported =
  | { readonly kind: "task"; readonly task: AnyTask }
  /** Clearly meant as a task; `why`: what is missing. */
  | { readonly kind: "mistake"; readonly option: string; readonly why: string }
  /** Something else, such as a helper module. */
  | { readonly kind: "other"; readonly why: string };

const remedy = "write `export default defineTask({...})`";

/** Imports a task file. Rejects with the error of the import, which may be any value. */
export async function importTask(file: string): Promise<Exported> {
  return exportedBy((await import(file)) as Readonly<Record<string, unknown>>);
}

function exportedBy(module: Readonly<Record<string, unknown>>): Exported {
  const main = defaultOf(module);
  if (isTask(main)) return { kind: "task", task: main };
  const [name] =
    Object.entries(isObject(main) ? { ...module, ...main } : module).find(([, value]) => isTask(value)) ?? [];
  if (name !== undefined) {
    return { kind: "mistake", option: name, why: `it exports a task as \`${name}\` and not as its default: ${remedy}` };
  }
  if (isObject(main) && "run" in main) {
    return { kind: "mistake", option: "default", why: `its default export is an object and no task: ${remedy}` };
  }
  if (main === undefined || main === module["module.exports"]) return { kind: "other", why: "it exports no task" };
  const what = typeof main === "function" ? "a function" : "something else";
  return { kind: "other", why: `its default export is ${what}; to make it a task, ${remedy}` };
}

/** The default export. CommonJS compiled from an ES module has it in `exports.default`. */
function defaultOf(module: Readonly<Record<string, unknown>>): unknown {
  const main = module["default"];
  return isObject(main) && !isTask(main) && "default" in main ? main["default"] : main;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
