/**
 * A short report for node:test: one line for each file, failures in full, and at the end how many passed and failed.
 * A run in which no test was found, and none skipped, fails: it is a mistyped name.
 */
import { relative } from "node:path";
import type { EventData } from "node:test";
import type { TestEvent } from "node:test/reporters";
import { inspect } from "node:util";

export default async function* report(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  /** Of a suite that is skipped its tests are not known, and not counted. */
  let skippedSuites = 0;
  for await (const { type, data } of events) {
    if (type === "test:pass" && typeof data.skip === "string" && data.details.type === "suite") skippedSuites++;
    if (type === "test:stdout" || type === "test:stderr") yield data.message;
    if (type === "test:fail" && isOwnFailure(data)) yield failure(data);
    if (type === "test:pass" && typeof data.skip === "string") yield `  skipped: ${data.name}: ${data.skip}\n`;
    if (type === "test:interrupted")
      yield data.tests.map((test) => `  stopped: ${shown(test.file)}: ${test.name}\n`).join("");
    if (type === "test:summary") yield data.file === undefined ? total(data, skippedSuites) : line(data);
  }
}

/** A parent also fails when a test inside it does; that one was shown already. */
function isOwnFailure({ details: { error } }: EventData.TestFail): boolean {
  return !("failureType" in error && error.failureType === "subtestsFailed");
}

function failure({ file, name, details: { error } }: EventData.TestFail): string {
  const text = (processEnd(error) ?? inspect(error.cause ?? error)).replaceAll("\n", "\n    ");
  return `\n  failed: ${name}\n    ${shown(file)}\n    ${text}\n\n`;
}

/** How the process of a file ended, where that is the whole failure: the runner itself only says "test failed". */
function processEnd(error: Error & { exitCode?: number | null; signal?: string | null }): string | undefined {
  if (typeof error.signal === "string") return `its process was ended by ${error.signal}`;
  return typeof error.exitCode === "number" ? `its process ended with exit code ${error.exitCode}` : undefined;
}

function line({ file, success, counts, duration_ms: durationMs }: EventData.TestSummary): string {
  return `${success ? "ok    " : "FAILED"}  ${shown(file)}  ${counts.tests} tests, ${seconds(durationMs)}\n`;
}

function total({ counts, duration_ms: durationMs }: EventData.TestSummary, skippedSuites: number): string {
  if (counts.tests + skippedSuites === 0) {
    process.exitCode = 1;
    return "no test was found\n";
  }
  const failed = counts.tests - counts.passed - counts.skipped - counts.todo;
  const skippedOnes = counts.skipped + skippedSuites;
  const skipped = skippedOnes > 0 ? `, ${skippedOnes} skipped` : "";
  return `took ${seconds(durationMs)}\n${counts.passed} passed, ${failed} failed${skipped}\n`;
}

function shown(file: string | undefined): string {
  return file === undefined ? "" : relative(process.cwd(), file);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
