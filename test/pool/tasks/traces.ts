/** What a task may do with `ctx.span` and `ctx.trace`. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { setTimeout as sleep } from "node:timers/promises";
import { defineTask, type SpanAttributes, type TaskContext } from "../../../src/pool/task.ts";

type OddSpan = (name: unknown, code: () => unknown, attributes?: unknown) => unknown;

let leftBehind: (() => void) | undefined;

const trap = () => {
  throw new Error("caught you");
};

// oxlint-disable-next-line unicorn/no-thenable
const thenable = (then: unknown) => ({ then });

const ways: { readonly [way: string]: (ctx: TaskContext) => unknown } = {
  nothing: () => 1,
  nested: (ctx) =>
    ctx.span("outer", async () => {
      const first = await ctx.span("first", async () => sleep(1, "a"), { n: 1, isFine: true, text: "t" });
      return first + ctx.span("second", () => ctx.span("third", () => "b"));
    }),
  concurrent: async (ctx) => {
    const one = (name: string) =>
      ctx.span(name, async () => {
        await sleep(2);
        await ctx.span(`below ${name}`, () => sleep(2));
      });
    await Promise.all([one("left"), one("right")]);
  },
  async trace(ctx) {
    const inside = await ctx.span("outer", async () => {
      await sleep(1);
      return ctx.span("inner", () => ctx.trace);
    });
    return { attempt: ctx.trace, inside };
  },
  carries(ctx) {
    const given = ctx.span("carries", () => Object.assign(sleep(1, "value"), { child: 7 }), {
      "": "no name",
      named: 1,
    });
    return given.then((value) => [value, given.child]);
  },
  throws: (ctx) =>
    ctx.span("outer", () => {
      ctx.span("quick", () => 1, { step: 1 });
      throw new RangeError("too far");
    }),
  async rejects(ctx) {
    const rejected = sleep(1).then(() => {
      throw new Error("later");
    });
    const caught = await ctx.span("rejects", () => rejected).catch((error) => String(error));
    return caught;
  },
  async child(ctx) {
    const running = ctx.span("child", () => promisify(execFile)(process.execPath, ["--version"]));
    const { pid } = running.child;
    await running;
    return pid === undefined ? "none" : "a process";
  },
  query(ctx) {
    let runs = 0;
    const query = thenable(() => (runs += 1));
    return [ctx.span("query", () => query) === query, runs];
  },
  unhandled(ctx) {
    void ctx.span("nobody waits", async () => {
      throw new Error("unhandled in a span");
    });
    return sleep(60_000);
  },
  many(ctx) {
    for (let each = 0; each < 200; each += 1) ctx.span(`span ${each}`, () => 1);
    return ctx.span("beyond", () => ctx.trace.traceparent);
  },
  large(ctx) {
    const large = Object.fromEntries(
      Array.from({ length: 100 }, (_, n) => [`${n} ${"k".repeat(200)}`, "v".repeat(5000)]),
    );
    for (let each = 0; each < 10; each += 1) ctx.span("n".repeat(1000), () => 1, large);
    return 1;
  },
  odd(ctx) {
    const span = ctx.span as OddSpan;
    const circle: { self?: unknown; getter?: unknown } = {};
    circle.self = circle;
    Object.defineProperty(circle, "getter", { get: trap, enumerable: true });
    const attributes = { circle, big: 1n, nan: Number.NaN, none: null, list: [1, "a"], symbol: Symbol("s") };
    span(5, () => 1, attributes);
    span(null, () => 1, new Proxy({}, { ownKeys: trap }));
    span("", () => 1, "text");
    span({ toString: trap }, () => 1, 7);
    span("getter", () => 1, Object.defineProperty({}, "x", { get: trap, enumerable: true }));
    try {
      span("thrown", () => {
        throw Object.create(null);
      });
    } catch {
      // that is what is tried
    }
    span("then", () => new Proxy({}, { get: trap }));
    return 1;
  },
  open(ctx) {
    void ctx.span("left open", () => sleep(60_000), { kept: "yes" });
    return 1;
  },
  /** Runs on in the threads of later jobs, and uses its own context there. */
  leaves(ctx) {
    leftBehind = () => ctx.span("of the job before", () => 1);
    const attributes: SpanAttributes = {};
    void ctx.span("mine", async () => {
      for (;;) {
        await sleep(1);
        ctx.span("still mine", () => 1, attributes);
      }
    });
    return 1;
  },
  async follows(ctx) {
    leftBehind?.();
    await ctx.span("own", () => sleep(20));
    return ctx.trace.traceparent;
  },
  spins(ctx) {
    ctx.span("done", () => 1, { lost: true });
    return ctx.span("work", () =>
      ctx.span("never ends", () => {
        ctx.log.info("waiting");
        for (;;);
      }),
    );
  },
  many_then_spins(ctx) {
    for (let each = 0; each < 40; each += 1) ctx.span(`step ${each}`, () => 1);
    ctx.log.info("waiting");
    for (;;);
  },
  async told(ctx) {
    await ctx.span("waits", () => {
      const told = new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason)));
      ctx.log.info("waiting"); // only now: whoever hears it may tell it to stop
      return told;
    });
  },
};

export default defineTask({
  name: "traces",
  pool: "tried",
  run: (way, ctx) => ways[way as string]?.(ctx) as never,
});
