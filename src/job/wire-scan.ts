/**
 * Counts the values of a message in the wire format before it is decoded: a field of two bytes becomes an object of a
 * hundred bytes, and a legal request of 4 MiB may have two million of them.
 * (https://protobuf.dev/programming-guides/encoding/)
 */
import { type DescField, type DescMessage, type Registry, ScalarType } from "@bufbuild/protobuf";

/** Why bytes are not a message of this type. */
export class WireError extends Error {
  override readonly name = "WireError";
}

/** Messages nested deeper than this are refused. JSON of 130 levels is not, so that its refusal can name the job. */
export const maxNesting = 400;

/**
 * Counts fields, items of lists, and keys and values of maps and JSON objects. Refuses fields of a wrong wire type:
 * protobuf-es decodes them by their declared type, and so would see other fields than were counted. Messages in an
 * `Any` are counted if `types` has their type. Stops soon after `most`. Throws a WireError.
 */
export function countValues(
  type: DescMessage,
  bytes: Uint8Array,
  types: Registry,
  most = Number.POSITIVE_INFINITY,
): number {
  const reader = new Reader(bytes);
  /** The enclosing messages, outermost first. */
  const around: Open[] = [];
  let open: Open = { shape: shapeOf(type), end: bytes.length, isGroup: false, free: 0 };
  let values = 0;

  function enter(shape: Shape, end: number, isGroup: boolean): void {
    if (around.length === maxNesting) throw new WireError(`messages are nested deeper than ${maxNesting} levels`);
    around.push(open);
    values += shape.names;
    const holding = shape.isAny ? anyHolding(typeInAny(bytes, reader.at, end, types)) : shape;
    open = { shape: holding, end, isGroup, free: holding.freeFields };
  }

  for (;;) {
    if (values > most) return values;
    while (reader.at >= open.end) {
      if (open.isGroup) throw new WireError("a group does not end");
      const outer = around.pop();
      if (!outer) return values;
      open = outer;
    }
    const tag = reader.varint();
    const wire = tag & 7;
    if (wire === endGroup) {
      if (!open.isGroup) throw new WireError("a group ends that did not begin");
      open = around.pop() as Open;
      continue;
    }
    if (open.free > 0) open.free -= 1;
    else values += 1;
    const field = open.shape.fields.get(tag >>> 3);
    if (field && wire !== field.wire && !(wire === lengthDelimited && field.isPackable)) {
      throw new WireError(`field ${tag >>> 3} of ${open.shape.name} has wire type ${wire} in place of ${field.wire}`);
    }
    if (wire === startGroup) enter(field?.message?.() ?? unknown, open.end, true);
    else if (wire !== lengthDelimited) reader.skip(wire);
    else {
      const end = reader.varint() + reader.at;
      if (end > open.end) throw new WireError("a field is longer than what holds it");
      if (field?.message) enter(field.message(), end, false);
      else if (field?.isPackable) values += Math.max(reader.count(field.wire, end) - 1, 0);
      else reader.at = end;
    }
  }
}

/** A message that is being read. */
type Open = {
  readonly shape: Shape;
  readonly end: number;
  /** Whether it ends with an end-group tag, and not at `end`. */
  readonly isGroup: boolean;
  /** Number of further fields that do not count. */
  free: number;
};

/** The fields of a message type by their numbers. */
type Shape = {
  readonly name: string;
  readonly fields: ReadonlyMap<number, Field>;
  /** Number of fields that do not count, because the message itself was counted. */
  readonly freeFields: number;
  /** Values to count besides the message itself: a map entry has a key, even if it is the default. */
  readonly names: number;
  readonly isAny: boolean;
};

type Field = {
  readonly wire: number;
  /** Whether its values may be packed into one field. */
  readonly isPackable: boolean;
  /** Lazy, because types may be recursive. */
  readonly message: (() => Shape) | undefined;
};

const lengthDelimited = 2;
const startGroup = 3;
const endGroup = 4;

const unknown: Shape = { name: "an unknown group", fields: new Map(), freeFields: 0, names: 0, isAny: false };
const shapes = new WeakMap<DescMessage, Shape>();

function shapeOf(type: DescMessage): Shape {
  const known = shapes.get(type);
  if (known) return known;
  const shape: Shape = {
    name: type.typeName,
    fields: new Map(type.fields.map((field) => [field.number, fieldOf(field)])),
    freeFields: type.typeName === "google.protobuf.Value" ? 1 : 0,
    names: 0,
    isAny: type.typeName === "google.protobuf.Any",
  };
  shapes.set(type, shape);
  return shape;
}

function fieldOf(field: DescField): Field {
  const wire = "delimitedEncoding" in field && field.delimitedEncoding ? startGroup : lengthDelimited;
  if (field.fieldKind === "map") {
    const entry: Shape = {
      name: `the entries of ${field.name}`,
      fields: new Map([
        [1, scalarField(field.mapKey, false)],
        [2, field.message ? messageField(field.message, lengthDelimited) : scalarField(field.scalar, false)],
      ]),
      freeFields: 2,
      names: 1,
      isAny: false,
    };
    return { wire: lengthDelimited, isPackable: false, message: () => entry };
  }
  if (field.message) return messageField(field.message, wire);
  return scalarField(field.scalar, field.fieldKind === "list");
}

function messageField(type: DescMessage, wire: number): Field {
  return { wire, isPackable: false, message: () => shapeOf(type) };
}

/** No type means an enum, which is a varint. */
function scalarField(type: ScalarType | undefined, isList: boolean): Field {
  const wire = type === undefined ? 0 : (wireTypes[type] ?? 0);
  return { wire, isPackable: isList && wire !== lengthDelimited, message: undefined };
}

/** The wire types of scalars that are not varints. */
const wireTypes: { readonly [type in ScalarType]?: number } = {
  [ScalarType.DOUBLE]: 1,
  [ScalarType.FIXED64]: 1,
  [ScalarType.SFIXED64]: 1,
  [ScalarType.STRING]: lengthDelimited,
  [ScalarType.BYTES]: lengthDelimited,
  [ScalarType.FLOAT]: 5,
  [ScalarType.FIXED32]: 5,
  [ScalarType.SFIXED32]: 5,
};

function anyHolding(type: DescMessage | undefined): Shape {
  const value = type ? messageField(type, lengthDelimited) : scalarField(ScalarType.BYTES, false);
  return {
    name: "google.protobuf.Any",
    fields: new Map([
      [1, scalarField(ScalarType.STRING, false)],
      [2, value],
    ]),
    freeFields: 0,
    names: 0,
    isAny: false,
  };
}

const decoder = new TextDecoder();
/** Upper bound on the length of a type's URL. */
const maxUrlBytes = 1_000;

/** The type of an `Any`, whose URL may come after the value. */
function typeInAny(bytes: Uint8Array, start: number, end: number, types: Registry): DescMessage | undefined {
  const reader = new Reader(bytes);
  reader.at = start;
  let url = "";
  while (reader.at < end) {
    const tag = reader.varint();
    const wire = tag & 7;
    if (wire !== lengthDelimited) {
      reader.skip(wire);
      continue;
    }
    const until = reader.varint() + reader.at;
    if (tag >>> 3 === 1) url = decoder.decode(bytes.subarray(reader.at, Math.min(until, reader.at + maxUrlBytes)));
    reader.at = until;
  }
  return types.getMessage(url.slice(url.lastIndexOf("/") + 1));
}

class Reader {
  readonly #bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Returns the lower 32 bits; tags and lengths have no more. */
  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#bytes[this.at++];
      if (byte === undefined) throw new WireError("it is cut off");
      if (shift < 32) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    throw new WireError("a varint has more than ten bytes");
  }

  skip(wire: number): void {
    if (wire === 0) this.varint();
    else if (wire === 1) this.at += 8;
    else if (wire === 5) this.at += 4;
    else throw new WireError(`there is no wire type ${wire}`);
    if (this.at > this.#bytes.length) throw new WireError("it is cut off");
  }

  /** Skips packed values, and returns their number. */
  count(wire: number, end: number): number {
    let values = 0;
    for (; this.at < end; values += 1) this.skip(wire);
    return values;
  }
}
