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
/** The quickest is drawn: the first loads what the others have, and the machine may do other things meanwhile. */
const runs = 12;
/** What comes last of the program, of the client and of the server. */
const ends = ["POST /pictures", "thumbnail job", "deliver"];

buildJaeger();
const stage = await openStage();
try {
  const traceIds: string[] = [];
  for (let run = 0; run < runs; run++) {
    const pictures = await startPictureServer(1);
    const job = () => stage.client.run("thumbnail", { url: pictures.url, width: 320 });
    traceIds.push((await stage.program.traced("POST /pictures", job)).traceId);
    await pictures.stop();
  }
  await stage.program.flush();
  const traces = await Promise.all(traceIds.map((traceId) => stage.jaeger.traceOnce(traceId, isWhole)));
  assert.ok(traces.every(isWhole), "a trace has not come whole");
  const lengthOf = ([first]: readonly JaegerSpan[]) => first?.tookMs ?? Infinity;
  const spans = traces.reduce((quickest, trace) => (lengthOf(trace) < lengthOf(quickest) ? trace : quickest));
  const drawn = spans.map((span) => ({
    ...span,
    note: span.isError ? String(span.tags["error.type"] ?? "") : undefined,
  }));
  await writeFile(file, drawTrace(drawn, "A job with two attempts, as Jaeger has it"));
} finally {
  await stage.stop();
}

function isWhole(spans: readonly JaegerSpan[]): boolean {
  return ends.every((name) => spans.some((span) => span.name === name));
}
