import assert from "node:assert/strict";
import { test } from "node:test";
import { create, createRegistry } from "@bufbuild/protobuf";
import { MillpondError } from "../../src/errors.ts";
import { AckResultsRequestSchema, SubmitRequestSchema } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import { readJson } from "../../src/rpc/json-request.ts";

const encoder = new TextEncoder();
const bounds = { maxValues: 20_000, types: createRegistry() };

/** How a Submit of this text is refused; undefined: it is not. */
function refusalOfText(text: string | Uint8Array, maxValues = bounds.maxValues): MillpondError | undefined {
  try {
    readJson(SubmitRequestSchema, typeof text === "string" ? encoder.encode(text) : text, { ...bounds, maxValues });
    return undefined;
  } catch (error) {
    assert.ok(error instanceof MillpondError);
    return error;
  }
}

const refusalOf = (body: unknown) => refusalOfText(JSON.stringify(body));
const fieldsOf = (body: unknown) => refusalOf(body)?.violations.map(({ field }) => field);

test("both names of a field are known, and what a client may put what it likes into is not looked at", () => {
  const input = { json: { taks: 1, jobs: [{ tsk: 2 }] } };
  const labels = { taks: "a label" };
  assert.equal(
    refusalOf({ jobs: [{ task: "echo", idempotencyKey: "a", discard_result: true, input, labels }] }),
    undefined,
  );
  const refused = refusalOf({ jobs: [{ task: 5, input, labels }] });
  assert.deepEqual([refused?.reason, refused?.violations], ["malformed_request", []]);
});

test("a refusal names every unknown field, but bounds their number and length", () => {
  assert.deepEqual(fieldsOf({ a: 1, jobs: [{ b: 2, retry: { c: 3 } }] }), ["a", "jobs[0].b", "jobs[0].retry.c"]);
  const many = refusalOf(
    Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`${index}`.padEnd(5_000, "x"), 1])),
  );
  assert.equal(many?.violations.length, 20);
  assert.ok(many.violations.every(({ field }) => field.length === 100));
  assert.ok((refusalOf({ jobs: "x".repeat(100_000) })?.message.length ?? 0) < 600);
});

test("what is beyond their number is not looked at", () => {
  let looks = 0;
  const counted = new Proxy(SubmitRequestSchema, {
    get(desc, key) {
      if (key === "fields") looks += 1;
      return Reflect.get(desc, key) as unknown;
    },
  });
  const text = JSON.stringify(Object.fromEntries(Array.from({ length: 9_000 }, (_, index) => [`x${index}`, 1])));
  assert.throws(() => readJson(counted, encoder.encode(text), bounds), { reason: "invalid_argument" });
  assert.ok(looks < 1_000, `${looks}`);
});

test("depth is refused with its path and does no harm", () => {
  const nested = (depth: number): string => `${'{"a":['.repeat(depth)}${"]}".repeat(depth)}`;
  const refused = refusalOfText(`{"jobs":[{"input":{"json":${nested(5_000)}}}]}`);
  assert.equal(refused?.reason, "invalid_argument");
  assert.match(refused.violations[0]?.field ?? "", /^jobs\[0\]\.input\.json\.a\[0\]\.a\[0\]/);
  assert.match(refused.violations[0]?.description ?? "", /^is nested deeper than 400 levels/);
});

test("a member that comes twice is refused, for which of them is meant is unknown", () => {
  for (const text of ['{"jobs":[],"jobs":[]}', '{"jobs":[{"input":{"json":{"a":1,"b":[{"c":1,"\\u0063":2}]}}}]}']) {
    const refused = refusalOfText(text);
    assert.equal(refused?.reason, "malformed_request");
    assert.match(refused.message, /duplicate object key "(?:jobs|c)"$/);
  }
  assert.equal(refusalOfText('{"jobs":[{"input":{"json":{"a:":":","b":{"a:":1}}}}]}'), undefined);
});

test("values beyond the bound are refused before they are read, with their number", () => {
  const list = (length: number) => `{"jobs":[{"input":{"json":[${"1,".repeat(length - 1)}1]}}]}`;
  // the request, the jobs, one job, its input, the list, and three names
  assert.equal(refusalOfText(list(92), 100), undefined);
  const refused = refusalOfText(list(93), 100);
  assert.equal(refused?.reason, "too_many_values");
  assert.match(refused.message, /^the request has 101 values and the limit is 100: .* limits\.values$/);
});

for (const [literal, becomes] of [
  ["9007199254740993", "would become 9007199254740992"],
  ["-9007199254740993", "would become -9007199254740992"],
  ["123456789012345678901234567890", "would become 123456789012345677877719597056"],
  ["1e400", "is too large"],
  ["-1E+400", "is too large"],
  ["1".repeat(400), "is too large"],
] as const) {
  test(`${literal.slice(0, 30)}, which a double cannot hold, is refused with its path`, () => {
    const text = `{"jobs":[{},{"input":{"json":{"order":[{"id":"x"},{"id":${literal}}]}}}]}`;
    const refused = refusalOfText(text);
    assert.equal(refused?.reason, "invalid_argument");
    assert.equal(refused.violations[0]?.field, "jobs[1].input.json.order[1].id");
    assert.ok(refused.violations[0].description.includes(becomes), refused.message);
    assert.match(refused.message, /send it as a string$/);
  });
}

test("numbers that a double holds are taken, of 64-bit fields too", () => {
  for (const literal of [
    "9007199254740992",
    "9007199254740994",
    "1e22",
    "0.1",
    "-0",
    "1e-400",
    "100000000000000000000",
  ]) {
    assert.equal(refusalOfText(`{"jobs":[{"input":{"json":${literal}}}]}`), undefined, literal);
  }
  const ack = (cursor: string) => readJson(AckResultsRequestSchema, encoder.encode(`{"cursor":${cursor}}`), bounds);
  assert.deepEqual(ack("9007199254740992"), create(AckResultsRequestSchema, { cursor: 2n ** 53n }));
  assert.deepEqual(ack('"9007199254740993"'), create(AckResultsRequestSchema, { cursor: 2n ** 53n + 1n }));
  assert.throws(() => ack("9007199254740993"), { reason: "invalid_argument", message: /^cursor: 9007199254740993 / });
});

test("bytes that are not UTF-8 are refused, a byte order mark is passed over", () => {
  const body = '{"jobs":[{"task":"\u00fc"}]}';
  assert.equal(refusalOfText(Buffer.from(`\ufeff${body}`)), undefined);
  for (const encoding of ["latin1", "utf16le"] as const) {
    const refused = refusalOfText(Buffer.from(`\ufeff${body}`, encoding));
    assert.deepEqual(
      [refused?.reason, refused?.message.endsWith("not valid UTF-8: encode JSON as UTF-8")],
      ["malformed_request", true],
    );
  }
});
