/** Validates the definitions passed to `defineResource`, and converts them to plain data that can be sent to threads. */
import { messageOf } from "../../errors.ts";
import { taskName } from "../../job/task-name.ts";
import { textOf } from "../sanitize.ts";
import { type AnyResource, isResource } from "../resource.ts";
import type { PoolResource } from "./protocol.ts";

/** Settings by resource name. */
export type ResourceSettings = { readonly [resource: string]: { readonly [key: string]: unknown } };

/** Reads a resource, only once even if several tasks use it. Throws an Error with the faults only the first time. */
export type ResourceReader = (given: unknown) => PoolResource;

/** Reads the resources of one load, in which names must be unique. */
export function createResourceReader(settings: ResourceSettings): ResourceReader {
  const known = new Map<string, { readonly definition: AnyResource; read: PoolResource }>();
  return (given) => {
    if (!isResource(given))
      throw new Error(`${textOf(given, 120)} is not a resource: create it with \`defineResource\``);
    checkShape(given);
    const { name } = given;
    const before = known.get(name);
    if (before?.definition === given) return before.read;
    if (before) throw new Error(`two resources are named "${name}": rename one, or import both from one file`);
    const entry = {
      definition: given,
      read: { name, settings: undefined, permits: {}, hasProbe: false } as PoolResource,
    };
    known.set(name, entry);
    entry.read = read(given, Object.hasOwn(settings, name) ? settings[name] : undefined);
    return entry.read;
  };
}

const options = Object.keys({
  name: true,
  settings: true,
  permits: true,
  setup: true,
  probe: true,
  teardown: true,
} satisfies Record<keyof AnyResource, true>);
const mostPermits = 10_000;

function checkShape(resource: AnyResource): void {
  const { name } = resource;
  if (typeof name !== "string" || !taskName.pattern.test(name)) {
    const shown = JSON.stringify(textOf(name, 120));
    throw new Error(`the resource's name ${shown} is not ${taskName.words}`);
  }
  const unknown = Object.keys(resource).find((key) => !options.includes(key));
  if (unknown !== undefined) {
    throw new Error(`resource "${name}" has an unknown option \`${unknown}\`: there are: ${options.join(", ")}`);
  }
  for (const option of ["settings", "permits", "setup", "probe", "teardown"] as const) {
    if (typeof resource[option] === "function" || (resource[option] === undefined && option !== "setup")) continue;
    throw new Error(`resource "${name}": its \`${option}\` is ${textOf(resource[option], 120)} and must be a function`);
  }
}

function read(resource: AnyResource, given: ResourceSettings[string] | undefined): PoolResource {
  const { name } = resource;
  const at = `resources.${name}: `;
  if (!resource.settings && given !== undefined) throw new Error(`${at}the resource takes no settings`);
  let settings: unknown;
  let permits: unknown;
  try {
    settings = resource.settings?.(given ?? {});
    permits = resource.permits?.(settings) ?? {};
  } catch (error) {
    throw new Error(at + messageOf(error), { cause: error });
  }
  try {
    settings = structuredClone(settings); // every worker thread gets a copy
  } catch (error) {
    const remedy = settings instanceof Promise ? ": write it without `async`" : "";
    const what = `${at}its \`settings\` returned something that is not plain data: ${messageOf(error)}${remedy}`;
    throw new Error(what, { cause: error });
  }
  return { name, settings, permits: checkedPermits(at, permits), hasProbe: resource.probe !== undefined };
}

function checkedPermits(at: string, permits: unknown): PoolResource["permits"] {
  if (typeof permits !== "object" || permits === null || permits instanceof Promise) {
    throw new Error(`${at}its \`permits\` returned ${textOf(permits, 120)} and must return numbers by name`);
  }
  for (const [permit, count] of Object.entries(permits)) {
    if (Number.isSafeInteger(count) && count >= 1 && count <= mostPermits) continue;
    const bound = `a whole number from 1 to ${mostPermits}`;
    throw new Error(`${at}its permits "${permit}" are ${textOf(count, 120)} and must be ${bound}`);
  }
  return { ...permits };
}
