/** Checks that JSON can represent a value unchanged. `JSON.stringify` silently drops or replaces everything else. */
import { types } from "node:util";

/** A value that JSON cannot represent, and its path: `.counts[0]`; empty for the value itself. */
export type NonJson = { readonly path: string; readonly description: string };

/**
 * The first part of a value that JSON cannot represent; null: none. Undefined members of objects are omitted, as in
 * `JSON.stringify`; `toJSON` is honoured, and class instances count as their fields. Lists and objects may be nested
 * `maxDepth` deep. Throws what getters and `toJSON` throw.
 */
export function findNonJson(value: unknown, maxDepth: number): NonJson | null {
  const description = faultOf(value);
  if (description !== null) return { path: "", description };
  return typeof value === "object" && value !== null ? faultWithin(value, "", maxDepth) : null;
}

/** Why a value cannot be the fields of a message: protobuf would silently create an empty message. Null: it can. */
export function faultOfFields(value: unknown): string | null {
  if (value === undefined || value === null) return `is ${value}`;
  if (typeof value !== "object") return `is a ${typeof value}`;
  if (Array.isArray(value)) return "is a list";
  return faultOfObject(value) === null && !types.isDate(value) ? null : `is ${nameOf(value)}`;
}

function faultWithin(value: object, path: string, levels: number): NonJson | null {
  const own = (value as { readonly toJSON?: unknown }).toJSON;
  if (typeof own === "function") {
    const replaced: unknown = own.call(value, path);
    return typeof replaced === "object" && replaced !== null && "toJSON" in replaced
      ? null // `toJSON` is called once, and its result is used as it is
      : prefixed(findNonJson(replaced, levels), path);
  }
  if (levels <= 0) return { path, description: "is nested too deep, or contains itself" };
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) {
      const fault = faultOfPart(value[index], () => `${path}[${index}]`, levels);
      if (fault !== null) return fault;
      if (value[index] === undefined) return { path: `${path}[${index}]`, description: "is undefined: put null there" };
    }
    return null;
  }
  for (const key of Object.keys(value)) {
    const part = (value as Record<string, unknown>)[key];
    const fault = faultOfPart(part, () => `${path}.${key}`, levels);
    if (fault !== null) return fault;
  }
  return null;
}

function faultOfPart(part: unknown, path: () => string, levels: number): NonJson | null {
  const description = faultOf(part);
  if (description !== null) return { path: path(), description };
  return typeof part === "object" && part !== null ? faultWithin(part, path(), levels - 1) : null;
}

function prefixed(fault: NonJson | null, path: string): NonJson | null {
  return fault && { ...fault, path: path + fault.path };
}

/** What is wrong with the value itself, not with its parts; null: nothing. */
function faultOf(value: unknown): string | null {
  switch (typeof value) {
    case "string":
      return value.isWellFormed() ? null : "has a lone surrogate, which UTF-8 cannot represent";
    case "number":
      return Number.isFinite(value) ? null : `is ${value}, which JSON does not have`;
    case "bigint":
      return "is a BigInt, which JSON does not have: send it as a string";
    case "function":
    case "symbol":
      return `is a ${typeof value}, which JSON does not have`;
    case "object":
      return value === null ? null : faultOfObject(value);
    default:
      return null;
  }
}

function faultOfObject(value: object): string | null {
  if (types.isPromise(value)) return "is a Promise: await it";
  if (ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value)) {
    return `is ${nameOf(value)}, which JSON does not have: send bytes alone, as a Uint8Array, or as base64 text`;
  }
  if (types.isDate(value)) return Number.isNaN(value.getTime()) ? "is an invalid Date" : null;
  if (Array.isArray(value) || isPlain(value) || "toJSON" in value || types.isBoxedPrimitive(value)) return null;
  if (isContainer(value) || Object.keys(value).length === 0) {
    return `is ${nameOf(value)}, of which JSON keeps nothing: convert it to plain objects and lists`;
  }
  return null;
}

/** Whether an object keeps its contents elsewhere than in fields, or is no data at all. */
function isContainer(value: object): boolean {
  return types.isMap(value) || types.isSet(value) || types.isNativeError(value) || types.isRegExp(value);
}

/** Works across realms: a plain object's prototype has no prototype. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** `a Map`, `an Error`; the tag for generators and the like, which have no constructor of their own. */
function nameOf(value: object): string {
  const { name: own } = value.constructor ?? {};
  const name = own && own !== "Object" ? own : Object.prototype.toString.call(value).slice("[object ".length, -1);
  return `${/^[AEIO]/.test(name) ? "an" : "a"} ${name}`;
}
