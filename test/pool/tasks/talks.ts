import { defineTask } from "../../../src/pool/task.ts";

export default defineTask({
  name: "talks",
  pool: "tried",
  async run(how, ctx) {
    switch (how) {
      case "much":
        for (let line = 1; line <= 500; line += 1) ctx.log.warn(`line ${line} ${"x".repeat(5000)}`, { line });
        return null;
      case "beyond":
        ctx.progress(7, "n".repeat(1000));
        break;
      case "below":
        ctx.progress(-1);
        break;
      case "nonsense":
        ctx.progress(Number.NaN);
        break;
      case "often":
        for (let step = 0; step < 1000; step += 1) ctx.progress(0.5, `step ${step}`);
        break;
      case "lastly":
        for (let step = 0; step < 1000; step += 1) ctx.progress(0.5, `step ${step}`);
        return null;
      case "late":
        setImmediate(() => {
          ctx.progress(1, "late");
          ctx.log.info("late");
        });
        return null;
      case "oddly": {
        const log = ctx.log as unknown as { info(text: unknown, fields?: unknown): void };
        const circle: { self?: unknown } = {};
        circle.self = circle;
        log.info(() => 1);
        log.info({ toString: () => 5 });
        log.info(Symbol("s"), { open() {}, kept: 1 });
        log.info("circle", circle);
        log.info("list", [1]);
        log.info("null", null);
        (ctx.progress as (fraction: unknown, note: unknown) => void)("0.5", { note: 1 });
        break;
      }
    }
    const told = new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason)));
    ctx.log.info("said");
    await told;
    return null;
  },
});
