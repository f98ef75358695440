/** The load generator: a process of its own, so that its CPU time is not the server's. */
import { runEchoCalls, runEchoMessages } from "./baselines/echo-client.ts";
import { answerCalls } from "./child.ts";
import { runBatches } from "./load/batches.ts";
import { runExchange } from "./load/exchange.ts";
import { runImages } from "./load/images.ts";
import { runLatency } from "./load/latency.ts";
import { runPaced } from "./load/paced.ts";
import { runSubmit } from "./load/submit.ts";

const calls = { runBatches, runExchange, runSubmit, runLatency, runPaced, runImages, runEchoMessages, runEchoCalls };

export type LoadCalls = typeof calls;

answerCalls(calls);
