/** A registry of the types of tasks' inputs and outputs, for converting messages from and to JSON. */
import { createRegistry, type Registry } from "@bufbuild/protobuf";
import type { Tasks } from "../pool/tasks.ts";

export type TypeRegistry = Registry;

/** If several types have one name, the last wins. */
export function typesOf(tasks: Tasks): TypeRegistry {
  const types = [...tasks.values()].flatMap(({ input, output }) => [input, output]);
  return createRegistry(...types.filter((type) => type !== undefined));
}

/** A registry that delegates to the current one: front ends are given a registry once, but tasks may be reloaded. */
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
