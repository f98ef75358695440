/**
 * Draws docs/trace.svg from a real run: a picture is fetched and made small by a job, whose first attempt fails because
 * the server of pictures is busy. Needs Go, which builds Jaeger.
 */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { drawTrace } from "../docs/trace-picture.ts";
import { buildJaeger } from "./jaeger.ts";
import type { JaegerSpan } from "./spans.ts";
import { openStage, startPictureServer } from "./stage.ts";

const file = new URL("../../docs/trace.svg", import.meta.url);
const rehearsals = 3;
/** What comes last of the program, of the client and of the server. */
const ends = ["POST /pictures", "thumbnail job", "deliver"];

buildJaeger();
const stage = await openStage();
try {
  let traceId = "";
  for (let run = 0; run <= rehearsals; run++) {
    // the first ones load what the others have already: the last is as it is every day
    const pictures = await startPictureServer(1);
    const job = () => stage.client.run("thumbnail", { url: pictures.url, width: 320 });
    ({ traceId } = await stage.program.traced("POST /pictures", job));
    await pictures.stop();
  }
  await stage.program.flush();
  const isWhole = (found: readonly JaegerSpan[]) => ends.every((name) => found.some((span) => span.name === name));
  const spans = await stage.jaeger.traceOnce(traceId, isWhole);
  assert.ok(isWhole(spans), `Jaeger has no more than ${spans.map(({ name }) => name).join(", ")}`);
  const drawn = spans.map((span) => ({
    ...span,
    note: span.isError ? String(span.tags["error.type"] ?? "") : undefined,
  }));
  await writeFile(file, drawTrace(drawn, "A job with two attempts, as Jaeger has it"));
} finally {
  await stage.stop();
}
