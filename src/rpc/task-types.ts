/** The types of tasks' inputs and outputs, by name, for whoever reads or shows messages. */
import { createRegistry, type Registry } from "@bufbuild/protobuf";
import type { Tasks } from "../pool/tasks.ts";

export type TypeRegistry = Registry;

/** Of several types with one name, the last. */
export function typesOf(tasks: Tasks): TypeRegistry {
  const types = [...tasks.values()].flatMap(({ input, output }) => [input, output]);
  return createRegistry(...types.filter((type) => type !== undefined));
}

/** A registry that answers from the current one: front ends take a registry once, and tasks may be reloaded. */
export function followingRegistry(current: () => TypeRegistry): TypeRegistry {
  return {
    kind: "registry",
    [Symbol.iterator]: () => current()[Symbol.iterator](),
    get: (name) => current().get(name),
    getMessage: (name) => current().getMessage(name),
    getEnum: (name) => current().getEnum(name),
    getExtension: (name) => current().getExtension(name),
    getExtensionFor: (extendee, number) => current().getExtensionFor(extendee, number),
    getService: (name) => current().getService(name),
  };
}
