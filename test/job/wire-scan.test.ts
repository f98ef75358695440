import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  create,
  createRegistry,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { anyPack, ListValueSchema, SourceCodeInfo_LocationSchema, ValueSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { FailInputSchema } from "../../src/gen/millpond/tasks/v1/diagnostic_pb.ts";
import { JobSpecSchema } from "../../src/gen/millpond/v1/job_pb.ts";
import { ExchangeRequestSchema, SubmitRequestSchema } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import { countValues, maxNesting, WireError } from "../../src/job/wire-scan.ts";
import { json } from "../rpc/jobs.ts";

const types = createRegistry(FailInputSchema);

function count<D extends DescMessage>(type: D, init: MessageInitShape<D>): number {
  return countValues(type, toBinary(type, create(type, init)), types);
}

describe("what is counted", () => {
  test("is every field and item, and every name and value of maps and of JSON", () => {
    const jobs = [
      { id: "a", task: "b" }, // 3 with the job itself
      { task: "c", labels: { x: "1", y: "2" } }, // 6
      { input: json({ a: 1, b: [true, null, "s"], c: {} }) }, // the job, its input, and 10 in the JSON
    ];
    assert.equal(count(SubmitRequestSchema, { jobs }), 3 + 6 + 12);
  });

  test("is also what an Any holds when its type is known, wherever its name stands", () => {
    const value = toBinary(FailInputSchema, create(FailInputSchema, { details: { a: [1, 2] } }));
    const { typeUrl } = anyPack(FailInputSchema, create(FailInputSchema));
    const input = (url: string) => ({ content: { case: "message", value: { typeUrl: url, value } } }) as const;
    const known = count(JobSpecSchema, { input: input(typeUrl) });
    assert.equal(known - count(JobSpecSchema, { input: input("x/not.Known") }), 5); // details, a, its list, 1, 2
    const url = new BinaryWriter().tag(1, WireType.LengthDelimited).string(typeUrl).finish();
    const held = new BinaryWriter().tag(2, WireType.LengthDelimited).bytes(value).finish();
    const any = (first: Uint8Array, second: Uint8Array) => Buffer.concat([first, second]);
    const spec = (content: Uint8Array) => {
      const payload = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(content).finish();
      return new BinaryWriter().tag(3, WireType.LengthDelimited).bytes(payload).finish();
    };
    assert.equal(countValues(JobSpecSchema, spec(any(url, held)), types), known);
    assert.equal(countValues(JobSpecSchema, spec(any(held, url)), types), known);
  });

  test("is every item of a packed list, and what the message does not know", () => {
    assert.equal(count(SourceCodeInfo_LocationSchema, { path: [1, 300, 3], span: [1] }), 4);
    const strange = new BinaryWriter();
    for (let no = 100; no < 110; no += 1) strange.tag(no, WireType.Varint).uint32(1);
    assert.equal(countValues(SubmitRequestSchema, strange.finish(), types), 10);
  });

  test("is every repetition of a field that may come once only", () => {
    const booleans = new Uint8Array([0x20, 0x01, 0x20, 0x00, 0x20, 0x01]);
    assert.equal(countValues(ValueSchema, booleans, types), 3);
  });
});

describe("what is refused", () => {
  for (const [what, bytes, said] of [
    ["a message that is cut off", [0x0a], /cut off/],
    ["a field longer than its message", [0x0a, 0x02, 0x12, 0x7f], /longer than what holds it/],
    ["a field of another wire type, which protobuf-es would take for its own", [0x08, 0x01], /wire type 0/],
    ["a group without an end", [0xa3, 0x06], /does not end/],
    ["an end without a group", [0x0c], /did not begin/],
    ["a varint without end", Array<number>(20).fill(0xff), /ten bytes/],
    ["a wire type that does not exist", [0xa6, 0x06], /no wire type 6/],
  ] as const) {
    test(what, () => {
      assert.throws(
        () => countValues(SubmitRequestSchema, new Uint8Array(bytes), types),
        (error) => {
          assert.ok(error instanceof WireError);
          assert.match(error.message, said);
          return true;
        },
      );
    });
  }

  test("nesting without end, of messages and of groups", () => {
    /** A list in a list, and so on. */
    const lists = (levels: number) => {
      let bytes: Uint8Array = new Uint8Array();
      for (let level = 0; level < levels; level += 1) {
        bytes = new BinaryWriter()
          .tag(level % 2 === 0 ? 6 : 1, WireType.LengthDelimited)
          .bytes(bytes)
          .finish();
      }
      return bytes;
    };
    assert.equal(countValues(ListValueSchema, lists(maxNesting), types), maxNesting / 2);
    assert.throws(() => countValues(ListValueSchema, lists(maxNesting + 2), types), WireError);
    const groups = new Uint8Array(100_000).fill(0xa3);
    assert.throws(() => countValues(SubmitRequestSchema, groups, types), WireError);
  });
});

test("bytes of any kind hold no more for protobuf-es than was counted", () => {
  const request = create(ExchangeRequestSchema, {
    request: {
      case: "submit",
      value: {
        seq: 7,
        jobs: [
          { id: "a", input: json({ a: [1, { b: null }], c: "x" }), labels: { x: "1" }, priority: 3 },
          { start: { case: "delay", value: { seconds: 9n, nanos: 3 } }, retry: { factor: 1.5 } },
        ],
      },
    },
  });
  const whole = toBinary(ExchangeRequestSchema, request);
  const change = fc.record({ at: fc.nat(whole.length - 1), byte: fc.nat(255), insert: fc.boolean() });
  let read = 0;
  fc.assert(
    fc.property(fc.array(change, { maxLength: 4 }), (changes) => {
      const bytes = [...whole];
      for (const { at, byte, insert } of changes) bytes.splice(at, insert ? 0 : 1, byte);
      let counted: number;
      try {
        counted = countValues(ExchangeRequestSchema, new Uint8Array(bytes), types);
      } catch (error) {
        assert.ok(error instanceof WireError);
        return;
      }
      let message: ReturnType<typeof fromBinary<typeof ExchangeRequestSchema>>;
      try {
        message = fromBinary(ExchangeRequestSchema, new Uint8Array(bytes));
      } catch {
        return; // it has other ways to be wrong
      }
      read += 1;
      const again = countValues(ExchangeRequestSchema, toBinary(ExchangeRequestSchema, message), types);
      assert.ok(again <= counted, `${again} of ${counted}`);
    }),
    { numRuns: 5_000 },
  );
  assert.ok(read > 100, `${read}`);
});
