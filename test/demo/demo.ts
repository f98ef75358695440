/**
 * `npm run demo`: starts a server, gives it real work, shows what comes of it, and checks it. Exits with 0 only when
 * everything is as it should be.
 *
 *     npm run demo              resizes pictures
 *     npm run demo -- email     sends a mail to each inactive user of a database
 */
import { mkdtemp, readdir, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { emailInactiveUsers } from "./email/email.ts";
import { resizePictures } from "./resize.ts";
import { say } from "./show.ts";

/** Each returns what is not as it should be. What it makes lies below `root`, and `leaves` of it stays when all is well. */
const demos: { readonly [name: string]: Demo } = {
  pictures: { run: resizePictures, leaves: ["resized"] },
  email: { run: emailInactiveUsers, leaves: [] },
};

type Demo = { run(root: string, signal: AbortSignal): Promise<string[]>; readonly leaves: readonly string[] };

const interrupted = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => interrupted.abort(new Error(`interrupted by ${signal}`)));
}
process.exitCode = await main(process.argv.slice(2), interrupted.signal);

async function main([name = "pictures", ...more]: readonly string[], signal: AbortSignal): Promise<number> {
  const demo = Object.hasOwn(demos, name) && more.length === 0 ? demos[name] : undefined;
  if (!demo) {
    say("there are two demos: `npm run demo` and `npm run demo -- email`", "bad");
    return 2;
  }
  const root = await mkdtemp(join(await realpath(tmpdir()), "millpond-demo-"));
  let leaves: readonly string[] = [];
  try {
    const faults = await demo.run(root, signal);
    for (const fault of faults) say(`not as it should be: ${fault}`, "bad");
    if (faults.length > 0) return 1;
    leaves = demo.leaves;
    return 0;
  } catch (error) {
    say(`\nthe demo failed: ${error instanceof Error ? error.message : String(error)}`, "bad");
    return signal.aborted ? 130 : 1;
  } finally {
    const names = leaves.length === 0 ? ["."] : (await readdir(root)).filter((each) => !leaves.includes(each));
    for (const each of names) await rm(join(root, each), { recursive: true, force: true });
  }
}
