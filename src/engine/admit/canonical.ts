/**
 * The canonical form of inputs, so that a repeated submit has the same bytes: clients in Go and Java write the entries
 * of maps in another order each time. Messages within a `google.protobuf.Any` are not changed.
 */
import type { DescMessage, Message } from "@bufbuild/protobuf";
import type { JsonValue } from "../../job/job.ts";

/** JSON text with the keys of every object sorted. */
export function toCanonicalText(value: JsonValue): string {
  return JSON.stringify(isSorted(value) ? value : sorted(value));
}

/** Whether a message of this type may contain a map; other messages have only one form. */
export function mayHoldMap(type: DescMessage): boolean {
  let holds = mapHolders.get(type);
  if (holds === undefined) {
    holds = findMap(type, new Set());
    mapHolders.set(type, holds);
  }
  return holds;
}

const mapHolders = new WeakMap<DescMessage, boolean>();

function findMap(type: DescMessage, seen: Set<DescMessage>): boolean {
  if (seen.has(type)) return false;
  seen.add(type);
  return type.fields.some((field) => field.fieldKind === "map" || (field.message && findMap(field.message, seen)));
}

/** Sorts the entries of all maps of a message by key. */
export function sortMaps(type: DescMessage, message: Message): void {
  const fields = message as unknown as Record<string, unknown>;
  for (const field of type.fields) {
    const holder = field.oneof ? (fields[field.oneof.localName] as { case?: string; value?: unknown }) : fields;
    const key = field.oneof ? "value" : field.localName;
    if (field.oneof && (holder as { case?: string }).case !== field.localName) continue;
    const owner = holder as Record<string, unknown>;
    const value = owner[key];
    if (value === undefined) continue;
    if (field.fieldKind === "map") {
      owner[key] = sortedEntries(value as Record<string, unknown>);
      if (field.message) for (const each of Object.values(owner[key] as object)) sortWithin(field.message, each);
    } else if (field.message && mayHoldMap(field.message)) {
      if (field.fieldKind === "list") for (const each of value as unknown[]) sortWithin(field.message, each);
      else owner[key] = sortWithin(field.message, value);
    }
  }
}

/** A field of type `google.protobuf.Struct` is a plain object. */
function sortWithin(type: DescMessage, value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (!("$typeName" in value)) return sorted(value as JsonValue);
  sortMaps(type, value as Message);
  return value;
}

function sorted(value: JsonValue): JsonValue {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(sorted);
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key] as JsonValue)]),
  );
}

function sortedEntries<T>(object: { readonly [key: string]: T }): Record<string, T> {
  return Object.fromEntries(Object.entries(object).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function isSorted(value: JsonValue): boolean {
  if (typeof value !== "object" || value === null) return true;
  if (Array.isArray(value)) return value.every(isSorted);
  let last = "";
  for (const key of Object.keys(value)) {
    if (key < last || !isSorted(value[key] as JsonValue)) return false;
    last = key;
  }
  return true;
}
