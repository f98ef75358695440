import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { toStandardJsonSchema } from "@valibot/to-json-schema";
import * as v from "valibot";
import * as z from "zod";
import type { StandardSchema } from "../../../src/schema.ts";
import { openSchema } from "../../../src/pool/schema/open.ts";
import { SchemaFault } from "../../../src/pool/schema/schema.ts";
import { inputBy, outputBy } from "../../../src/pool/schema/values.ts";

const inZod = z.object({
  width: z.number().int().min(1),
  items: z.array(z.object({ name: z.string() })).optional(),
});
const inValibot = v.object({
  width: v.pipe(v.number(), v.integer(), v.minValue(1)),
  items: v.optional(v.array(v.object({ name: v.string() }))),
});
const inJsonSchema = {
  type: "object",
  properties: {
    width: { type: "integer", minimum: 1 },
    items: { type: "array", items: { type: "object", properties: { name: { type: "string" } }, required: ["name"] } },
  },
  required: ["width"],
};

const fieldsOf = (schema: unknown, value: unknown) =>
  openSchema(schema, "input")
    .check(value)
    .violations?.map(({ field }) => field);

suite("a schema of zod, valibot or JSON Schema", () => {
  for (const [name, schema] of Object.entries({ zod: inZod, valibot: inValibot, "JSON Schema": inJsonSchema })) {
    test(`${name}: takes what fits, and names each field that does not, by its path from the value`, () => {
      const good = { width: 3, items: [{ name: "a" }] };
      assert.deepEqual(openSchema(schema, "input").check(good), { value: good });
      assert.deepEqual(fieldsOf(schema, { width: 0, items: [{ name: "a" }, {}, { name: "c" }, { name: 4 }] }), [
        "width",
        "items[1].name",
        "items[3].name",
      ]);
      assert.deepEqual(fieldsOf(schema, {}), ["width"]);
      assert.deepEqual(fieldsOf(schema, "text"), [""]);
      assert.deepEqual(fieldsOf(schema, undefined), [""]);
    });
  }

  test("says in words what is wrong", () => {
    const schema = {
      type: "object",
      properties: {
        size: { enum: ["small", "large"] },
        mode: { const: "fast" },
        email: { type: "string", format: "email" },
        "a/b~c": { type: "object", properties: { 2: { type: "string" } } },
      },
      required: ["constructor"],
      additionalProperties: false,
    };
    const value = { size: "tiny", mode: 1, email: "x", "a/b~c": { 2: 3 }, extra: 1 };
    const { violations = [] } = openSchema(schema, "input").check(value);
    assert.deepEqual(
      violations.map(({ field, description }) => `${field}: ${description}`),
      [
        "constructor: is missing",
        "extra: is not a known field",
        'size: must be one of "small", "large"',
        'mode: must be "fast"',
        'email: must match format "email"',
        "a/b~c.2: must be string",
      ],
    );
  });

  test("gives at most 20 violations of one value", () => {
    const values = Array.from({ length: 100 }, () => 1);
    assert.equal(fieldsOf(z.array(z.string()), values)?.length, 20);
    assert.equal(fieldsOf({ type: "array", items: { type: "string" } }, values)?.length, 20);
  });

  test("bytes are no JSON, and a Standard Schema may take them", () => {
    assert.deepEqual(openSchema(inJsonSchema, "input").check(new Uint8Array(2)), {
      violations: [{ field: "", description: "is bytes and must be JSON" }],
    });
    const bytes = new Uint8Array(2);
    assert.deepEqual(openSchema(z.instanceof(Uint8Array), "input").check(bytes), { value: bytes });
  });

  test("a Standard Schema may transform, a JSON Schema changes nothing", () => {
    const days = z.object({ day: z.coerce.date(), count: z.number().default(7) });
    assert.deepEqual(openSchema(days, "input").check({ day: "2026-01-02" }), {
      value: { day: new Date("2026-01-02"), count: 7 },
    });
    const described = { type: "object", properties: { count: { type: "number", default: 7 } } };
    assert.deepEqual(openSchema(described, "input").check({}), { value: {} });
  });

  test("a JSON Schema sees an output as clients get it: without what is undefined, and a Date as its text", () => {
    const properties = { day: { type: "string", format: "date-time" }, note: { type: "string" } };
    const { check } = openSchema({ type: "object", properties, additionalProperties: false }, "output");
    const day = new Date("2026-01-02");
    assert.deepEqual(check({ day, note: undefined, other: undefined }), { value: { day: day.toISOString() } });
    assert.deepEqual(check({ note: 3 }).violations, [{ field: "note", description: "must be string" }]);
    assert.equal(check(undefined).violations?.length, 1);
    const map = { note: new Map() };
    assert.deepEqual(check(map), { value: map }, "what is no JSON is refused as that");
    const nothing = { toJSON: () => undefined };
    assert.deepEqual(check(nothing), { value: nothing });
  });

  test("may be a function, as those of ArkType are", () => {
    const validate = (value: unknown) => (value === 1 ? { value } : { issues: [{ message: "is not 1" }] });
    const schema = Object.assign(() => 1, { "~standard": { version: 1, vendor: "arktype", validate } });
    assert.deepEqual(openSchema(schema, "input").check(1), { value: 1 });
    assert.deepEqual(fieldsOf(schema, 2), [""]);
  });

  test("of draft 7 and with keywords of others in x- is taken, and so are two with the same $id", () => {
    const draft7 = {
      $schema: "http://json-schema.org/draft-07/schema#",
      $id: "https://example.com/a",
      items: [{ type: "string" }],
    };
    assert.deepEqual(fieldsOf(draft7, [1]), ["[0]"]);
    const newest = { $id: "https://example.com/a", prefixItems: [{ type: "string" }], "x-order": 3 };
    assert.deepEqual(fieldsOf(newest, [1]), ["[0]"]);
    assert.deepEqual(fieldsOf({ ...newest, prefixItems: [{ type: "number" }] }, [1]), undefined);
  });
});

suite("what a schema shows of itself", () => {
  const shapeOf = (schema: unknown, side: "input" | "output" = "input") => openSchema(schema, side).shape;

  test("zod and JSON Schema: the JSON Schema", () => {
    const { vendor, jsonSchema, unknownReason } = shapeOf(inZod);
    assert.deepEqual([vendor, unknownReason], ["zod", ""]);
    assert.deepEqual(JSON.parse(jsonSchema).properties.width.minimum, 1);
    assert.deepEqual(shapeOf(inJsonSchema), {
      vendor: "json-schema",
      jsonSchema: JSON.stringify(inJsonSchema),
      unknownReason: "",
    });
  });

  test("valibot: the JSON Schema when the schema offers it, and otherwise why not", () => {
    assert.deepEqual(shapeOf(inValibot), {
      vendor: "valibot",
      jsonSchema: "",
      unknownReason: "valibot gives no JSON Schema of it",
    });
    const { jsonSchema } = shapeOf(toStandardJsonSchema(inValibot));
    assert.deepEqual(JSON.parse(jsonSchema).required, ["width"]);
  });

  test("the side that is asked for: before the transformations of an input, and after those of an output", () => {
    const schema = z.object({ count: z.number().default(7) });
    assert.equal(JSON.parse(shapeOf(schema).jsonSchema).required, undefined);
    assert.deepEqual(JSON.parse(shapeOf(schema, "output").jsonSchema).required, ["count"]);
  });

  test("the reason, when it cannot be written as JSON Schema or is longer than the bound", () => {
    assert.match(shapeOf(z.object({ day: z.date() })).unknownReason, /cannot be represented/);
    const long = { enum: ["x".repeat(70_000)] };
    assert.match(shapeOf(long).unknownReason, /^its JSON Schema has \d+ characters, and at most 65536 are shown$/);
    assert.equal(shapeOf(long).jsonSchema, "");
    const jsonSchema = { input: () => undefined };
    const silent = { "~standard": { version: 1, vendor: "own", validate: () => ({ value: 1 }), jsonSchema } };
    assert.deepEqual(shapeOf(silent).unknownReason, "own writes no JSON Schema of it");
  });
});

suite("what is no schema is refused, with the remedy", () => {
  const standard = (props: object) => ({ "~standard": { version: 1, vendor: "own", ...props } });
  const rows: readonly (readonly [what: string, given: unknown, message: RegExp])[] = [
    ["a word", "string", /^is a string: give a message type such as GreetInputSchema, a Standard Schema/],
    ["a list", [inZod], /^is a list: /],
    ["null", null, /^is null: /],
    ["a function", () => inZod, /^is a function: /],
    ["a promise", Promise.resolve(inZod), /^is a Promise: /],
    ["an empty object", {}, /^is an empty object, which says nothing: leave it out/],
    ["fields in zod", { name: z.string() }, /^has schemas as its fields and is none: wrap it, as in `z\.object/],
    ["an older validator", { safeParse: () => 1 }, /^is a validator without `~standard`: use a version of its library/],
    ["another validator", { validate: () => 1 }, /^is a validator without `~standard`/],
    [
      "a later standard",
      standard({ version: 2, validate: () => 1 }),
      /^is version 2 of Standard Schema, and 1 is known/,
    ],
    ["a standard that cannot check", standard({}), /^is a Standard Schema without `validate`$/],
    ["an unknown keyword", { type: "object", minumum: 3 }, /^is no JSON Schema: .*unknown keyword: "minumum"/],
    ["fields by type", { width: "number" }, /^is no JSON Schema: .*unknown keyword: "width"/],
    ["an unknown type", { type: "strng" }, /^is no JSON Schema: its type must be one of "array", "boolean"/],
    [
      "a limit as text",
      { properties: { a: { minimum: "3" } } },
      /^is no JSON Schema: its properties\.a\.minimum must be number$/,
    ],
    ["a broken pattern", { pattern: "(" }, /^is no JSON Schema: Invalid regular expression/],
    ["an unknown format", { type: "string", format: "emial" }, /^is no JSON Schema: unknown format "emial"/],
    ["a $ref to nothing", { $ref: "#/$defs/a" }, /^is no JSON Schema: can't resolve reference #\/\$defs\/a/],
    ["a $ref into the network", { $ref: "http://127.0.0.1:9/a" }, /^is no JSON Schema: can't resolve reference http/],
    [
      "draft 4",
      { $schema: "http://json-schema.org/draft-04/schema#" },
      /^has the unknown \$schema ".*draft-04.*"; there are: /,
    ],
    ["a value that is no JSON", { enum: [1n] }, /^is no JSON Schema: its enum\[0\] is a BigInt/],
    ["an asynchronous JSON Schema", { $async: true, type: "object" }, /^is asynchronous: /],
    ["an asynchronous schema of valibot", v.objectAsync({}), /^is asynchronous: /],
  ];
  for (const [what, given, message] of rows) {
    test(what, () => assert.throws(() => openSchema(given, "input"), { message }));
  }

  test("a schema within itself", () => {
    const schema: Record<string, unknown> = { type: "object" };
    schema["properties"] = { inner: schema };
    assert.throws(() => openSchema(schema, "input"), { message: /is nested too deep, or contains itself/ });
  });

  test("one that waits only for some values throws when it meets them", () => {
    const schema: StandardSchema = z.string().refine(async () => true);
    const { check } = openSchema(schema, "input");
    assert.equal(check(3).violations?.length, 1);
    assert.throws(() => check("text"), { message: /^is asynchronous/ });
  });
});

suite("what a broken schema returns is its own fault, and not the value's", () => {
  const rows: readonly (readonly [returned: unknown, message: RegExp])[] = [
    [undefined, /^returned undefined, which is no result of a Standard Schema$/],
    ["no", /^returned a string, /],
    [{}, /^returned neither `value` nor `issues`, /],
    [{ issues: [] }, /^returned `issues` that list nothing, /],
    [{ issues: "x" }, /^returned `issues` that list nothing, /],
    [{ issues: [{}] }, /^returned an issue without a `message`, /],
    [{ issues: [null] }, /^returned an issue without a `message`, /],
    [{ issues: [{ message: "m", path: "a" }] }, /^returned an issue whose `path` is a string, /],
    [{ issues: [{ message: "m", path: [null] }] }, /^returned an issue with undefined in its `path`, /],
    // oxlint-disable-next-line unicorn/no-thenable
    [{ then: () => undefined }, /^is asynchronous: /],
  ];
  for (const [returned, message] of rows) {
    test(JSON.stringify(returned) ?? "undefined", () => {
      const validate = (value: unknown) => (value === undefined ? { value } : returned);
      const schema = { "~standard": { version: 1, vendor: "own", validate } };
      const { check } = openSchema(schema, "input");
      assert.throws(
        () => check(1),
        (error) => error instanceof SchemaFault && message.test(error.message),
      );
      assert.throws(() => inputBy({ check, shape }, 1), {
        verdict: new RegExp(message.source.replace("^", "^its `input` ")),
      });
      assert.throws(() => outputBy({ check, shape }, 1), {
        reason: "bad_output",
        message: new RegExp(message.source.slice(1)),
      });
    });
  }
  const shape = { vendor: "own", jsonSchema: "", unknownReason: "" };
});
