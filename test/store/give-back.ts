/** Gives the free pages of the store named on the command line back as fast as it can, and says each step. */
import { stdout } from "node:process";
import { createCheckpoint } from "../../src/store/sqlite/thread/checkpoint.ts";
import { openConnection } from "../../src/store/sqlite/thread/connection.ts";
import { createFreePages } from "../../src/store/sqlite/thread/free-pages.ts";

const db = openConnection(process.argv[2]!);
const freePages = createFreePages(db, (sentence) => {
  throw new Error(sentence);
});
const checkpoint = createCheckpoint(db);
for (let step = 1; freePages.isWorthwhile(); step++) {
  freePages.giveBack();
  if (step % 5 === 0) checkpoint.now();
  stdout.write(`${step}\n`);
}
stdout.write("done\n");
