import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { bytesOf, extensionOf, outputAsJson, outputAsText } from "../../../src/cli/print/output.ts";
import { ImageFormat, ImageResizeOutputSchema } from "../../../src/gen/millpond/tasks/v1/image_pb.ts";

const bytes = new Uint8Array(2048).fill(7);
const picture = create(ImageResizeOutputSchema, {
  target: { case: "bytes", value: bytes },
  width: 640,
  format: ImageFormat.JPEG,
});
const unknownMessage = create(AnySchema, { typeUrl: "type.googleapis.com/acme.v1.Report", value: bytes });

suite("outputs", () => {
  test("for programs, bytes are base64 and messages are protobuf's JSON", () => {
    const base64 = Buffer.from(bytes).toString("base64");

    assert.deepEqual(outputAsJson({ a: [1] }), { outputType: "json", output: { a: [1] } });
    assert.deepEqual(outputAsJson(null), { outputType: "json", output: null });
    assert.deepEqual(outputAsJson(undefined), { outputType: "none" });
    assert.deepEqual(outputAsJson(bytes), { outputType: "bytes", output: base64 });
    assert.deepEqual(outputAsJson(picture), {
      outputType: "millpond.tasks.v1.ImageResizeOutput",
      output: { bytes: base64, width: 640, format: "IMAGE_FORMAT_JPEG" },
    });
    assert.deepEqual(outputAsJson(unknownMessage), { outputType: "acme.v1.Report", output: base64 });
  });

  test("for people, bytes are their size, also inside of a message", () => {
    assert.equal(outputAsText(undefined, 100), "nothing");
    assert.equal(outputAsText({ a: 1 }, 100), '{"a":1}');
    assert.equal(outputAsText("x".repeat(200), 20).length, 20);
    assert.equal(outputAsText(bytes, 100), "2.0 KiB");
    assert.equal(outputAsText(picture, 100), '{"bytes":"2.0 KiB","width":640,"format":"IMAGE_FORMAT_JPEG"}');
    assert.equal(outputAsText(unknownMessage, 100), "acme.v1.Report, 2.0 KiB");
  });

  test("what is worth a file is the bytes, or those in the message", () => {
    assert.equal(bytesOf(bytes), bytes);
    assert.equal(bytesOf(picture), bytes);
    assert.equal(bytesOf(create(ImageResizeOutputSchema, { target: { case: "path", value: "x.jpg" } })), undefined);
    assert.equal(bytesOf({ bytes: "text" }), undefined);
    assert.equal(bytesOf(undefined), undefined);
  });

  test("pictures get the ending of their format, anything else .bin", () => {
    assert.equal(extensionOf(Uint8Array.of(0xff, 0xd8, 0xff, 0xe0)), ".jpg");
    assert.equal(extensionOf(Buffer.from("\x89PNG\r\n\x1a\n", "latin1")), ".png");
    assert.equal(extensionOf(Buffer.from("RIFF\n\0\0\nWEBPVP8 ", "latin1")), ".webp");
    assert.equal(extensionOf(Buffer.from("\0\0\0\x1cftypavif", "latin1")), ".avif");
    assert.equal(extensionOf(new Uint8Array()), ".bin");
  });
});
