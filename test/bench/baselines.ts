/** What is compared with and needs no server, in a process of its own. */
import { runCommits } from "./baselines/commit.ts";
import { runInserts } from "./baselines/insert.ts";
import { runPiscina } from "./baselines/piscina.ts";
import { runSharp } from "./baselines/sharp.ts";
import { answerCalls } from "./child.ts";

const calls = { runCommits, runInserts, runPiscina, runSharp };

export type BaselineCalls = typeof calls;

answerCalls(calls);
