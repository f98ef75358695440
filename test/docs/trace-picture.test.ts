import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { type DrawnSpan, drawTrace } from "./trace-picture.ts";

const span = (id: string, parentId: string | undefined, startedAt: number, tookMs: number): DrawnSpan => ({
  ...{ id, parentId, name: `span ${id}`, service: "millpond", startedAt, tookMs, isError: false },
});
const spans = [
  { ...span("job", undefined, 5000, 100), service: "shop", name: "resize <job>" },
  span("b", "job", 5050, 50),
  { ...span("a", "job", 5000, 25), isError: true, note: "busy & late" },
  span("a1", "a", 5010, 0.04),
];
const svg = drawTrace(spans, "A job that is retried");
const textsOf = (drawn: string) => [...drawn.matchAll(/<text[^>]*>([^<]*)</g)].map(([, content]) => content);
const bars = [...svg.matchAll(/<rect class="(\w+)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="12"/g)].map(
  ([, kind, x, y, width]) => ({ kind, x: Number(x), y: Number(y), width: Number(width) }),
);

suite("the picture of a trace", () => {
  test("has a row for each span, each below its parent, in the order in which they began", () => {
    const names = textsOf(svg).filter((content) => /^(span|resize)/.test(content ?? ""));
    assert.deepEqual(names, ["resize &lt;job&gt;", "span a", "span a1", "span b"]);
    const lefts = [...svg.matchAll(/<text x="(\d+)" y="\d+">(?:span|resize)/g)].map(([, x]) => Number(x));
    assert.deepEqual(lefts, [16, 30, 44, 30], "children are indented");
  });

  test("draws each bar where its time is, and the shortest so that it can be seen", () => {
    const [job, a, a1, b] = bars;
    assert.ok(job && a && a1 && b);
    const perMs = job.width / 100;
    const near = (value: number, wanted: number) => assert.ok(Math.abs(value - wanted) < 0.2, `${value} for ${wanted}`);
    near(a.x, job.x);
    near(a.width, 25 * perMs);
    near(a1.x, job.x + 10 * perMs);
    assert.equal(a1.width, 2);
    near(b.x, job.x + 50 * perMs);
    near(b.x + b.width, job.x + job.width);
  });

  test("tells services and errors apart by colour, and names them", () => {
    assert.deepEqual(
      bars.map(({ kind }) => kind),
      ["s0", "error", "s1", "s1"],
    );
    const texts = textsOf(svg);
    for (const text of ["shop", "millpond", "100 ms", "25 ms  busy &amp; late", "40 µs", "50 ms"]) {
      assert.ok(texts.includes(text), text);
    }
  });

  test("labels the times in even steps, whatever the length", () => {
    const ticksOf = (tookMs: number) =>
      [...drawTrace([span("x", undefined, 0, tookMs)], "").matchAll(/text-anchor="middle">([^<]*)</g)].map(
        ([, at]) => at,
      );
    assert.deepEqual(ticksOf(100), ["0 ms", "20 ms", "40 ms", "60 ms", "80 ms", "100 ms"]);
    assert.deepEqual(ticksOf(1.3), ["0 ms", "0.5 ms", "1 ms"]);
    assert.deepEqual(ticksOf(2600), ["0 ms", "1 s", "2 s"]);
    assert.ok(ticksOf(0).length > 0);
  });

  test("is readable in light and dark themes, needs nothing from elsewhere, and says what it shows", () => {
    assert.match(svg, /prefers-color-scheme: dark/);
    assert.doesNotMatch(svg.replace('xmlns="http://www.w3.org/2000/svg"', ""), /https?:|url\(|<script|@import|href/);
    assert.match(svg, /<title id="title">A job that is retried<\/title>/);
  });

  test("is well-formed, and no row leaves it", () => {
    const [, width = 0, height = 0] = /viewBox="0 0 (\d+) (\d+)"/.exec(svg)?.map(Number) ?? [];
    const right = [...svg.matchAll(/<text x="([\d.]+)"/g)].map(([, x]) => Number(x));
    assert.ok(Math.max(...right) < width - 60, "texts have room on the right");
    for (const { x, y, width: length } of bars) assert.ok(x + length <= width && y + 12 <= height);
    const open = [...svg.matchAll(/<(\w+)(?![^>]*\/>)[^>]*>/g)].length;
    assert.equal(open, [...svg.matchAll(/<\/\w+>/g)].length);
  });
});
