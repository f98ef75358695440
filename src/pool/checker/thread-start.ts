/** Starts a checker thread and monitors it until its end, whatever the task files do. */
import { MessageChannel, receiveMessageOnPort, Worker } from "node:worker_threads";
import { fileURLToPath } from "node:url";
import type { Clock } from "../../clock.ts";
import { createSignal } from "../../lifecycle.ts";
import type { Source } from "../module-hooks.ts";
import { textOf } from "../sanitize.ts";
import type { Surroundings } from "../tasks/definition.ts";
import { lineWith, type SourcePosition, positionInStack } from "../tasks/source-position.ts";
import { fault, faulty, type FileReport } from "../tasks/report.ts";
import type { CheckerData, CheckRequest, FromChecker } from "./protocol.ts";

export type CheckerThread = {
  send(request: CheckRequest): void;
  /** The request whose inputs it checks now, 0 for none, and the index of the input. */
  progress(): { readonly number: number; readonly index: number };
  /** Ends the thread; resolves once it has ended, which waits for native code of a task. */
  end(): Promise<void>;
};

export type ThreadParts = {
  /** URLs of task files. */
  readonly files: readonly string[];
  readonly surroundings: Surroundings;
  /**
   * Filled with the sources of the files and their imports as they are read; files in it are not read again. Null:
   * nothing is kept.
   */
  readonly sources: Map<string, Source> | null;
  /** Bound on the import of one file. */
  readonly loadMs: number;
  readonly clock: Clock;
  readonly onChecked: (answer: Extract<FromChecker, { kind: "checked" }>) => void;
  /** Called for an uncaught error in the code of a file after everything was loaded. */
  readonly onThrew: (what: string) => void;
  /** Called when the thread ends by itself after everything was loaded; `why`: what is known of the cause. */
  readonly onEnd: (why: string) => void;
};

export type Started = {
  /** Reports of the files up to the first that ended the thread. */
  readonly reports: readonly FileReport[];
  /** Undefined: it ended, or was ended because a file took too long. */
  readonly thread: CheckerThread | undefined;
};

const entry = new URL(import.meta.url.endsWith(".ts") ? "./thread.ts" : "./thread.js", import.meta.url);
const maxWhyChars = 1000;
/** Bound on the kept files: further ones are read from disk by each thread. */
const maxSources = 5_000;
const topLevelAwait = /^(?:(?:export\s+)?(?:const|let|var)\b[^\n]*=\s*|if\b[^\n]*)?await\b/m;

/** Resolves once every file is loaded, or one has made that impossible. */
export async function startThread(parts: ThreadParts): Promise<Started> {
  const { files, loadMs, clock, sources } = parts;
  const { port1: port, port2 } = new MessageChannel();
  const progress = new Int32Array(new SharedArrayBuffer(8));
  const data: CheckerData = { port: port2, files, surroundings: parts.surroundings, progress, sources };
  let worker: Worker;
  try {
    worker = new Worker(entry, { name: "millpond-checker", workerData: data, transferList: [port2] });
  } catch (error) {
    port.close();
    return {
      reports: [
        faulty(`no thread can be started to load ${fileURLToPath(files[0] as string)}: ${textOf(error, maxWhyChars)}`),
      ],
      thread: undefined,
    };
  }
  const started = createSignal<Started>();
  const ended = createSignal();
  const reports: FileReport[] = [];
  const threw = new Map<number, string>();
  let loading = 0;
  let isReady = false;
  let isEnding = false;
  let lastMessage: Extract<FromChecker, { kind: "exiting" | "stalled" }> | undefined;
  let failure: unknown;
  let cancelTimer = () => {};

  const pathOf = (file: number) => fileURLToPath(files[file] as string);
  const faultOf = (file: number, position: SourcePosition | undefined, what: string) =>
    faulty(fault(pathOf(file), position, what));
  const positionOfAwait = () => ({ file: pathOf(loading), line: lineWith(pathOf(loading), topLevelAwait) });

  function giveUp(position: SourcePosition | undefined, what: string): void {
    reports[loading] = faultOf(loading, position, what);
    started.fire({ reports, thread: undefined });
  }

  function onMessage(message: FromChecker): void {
    switch (message.kind) {
      case "read":
        if (sources && sources.size < maxSources) sources.set(message.url, message.source);
        return;
      case "loading":
        loading = message.file;
        cancelTimer();
        cancelTimer = clock.after(loadMs, onLate);
        return;
      case "loaded":
        reports[message.file] = message.report;
        return;
      case "ready":
        cancelTimer();
        isReady = true;
        for (const [file, what] of threw) reports[file] = faulty(what);
        started.fire({ reports, thread });
        return;
      case "threw": {
        const position = positionInStack(message.stack);
        const what = `something that it started threw: ${message.message}`;
        const text = message.file === null ? message.message : fault(pathOf(message.file), position, what);
        if (isReady || message.file === null) parts.onThrew(text);
        else threw.set(message.file, text);
        return;
      }
      case "checked":
        return parts.onChecked(message);
      default:
        lastMessage ??= message;
    }
  }

  function onLate(): void {
    const what = `its import takes longer than ${loadMs} ms (taskLoadMs): it must not wait or loop without end`;
    giveUp(positionOfAwait(), what);
    void thread.end();
  }

  function onExit(): void {
    cancelTimer();
    for (let left = receiveMessageOnPort(port); left; left = receiveMessageOnPort(port)) onMessage(left.message);
    port.close();
    ended.fire();
    if (isEnding) return;
    const { what, position } = endOf();
    if (isReady) parts.onEnd(what);
    else giveUp(position, what);
  }

  function endOf(): { readonly what: string; readonly position: SourcePosition | undefined } {
    if (lastMessage?.kind === "exiting" && failure === undefined) {
      const what = `it called process.exit(${lastMessage.code}): a task file only defines its task`;
      return { what, position: positionInStack(lastMessage.stack) };
    }
    if (lastMessage?.kind === "stalled") {
      const what = "its top-level await waits for something that never comes";
      return { what, position: positionOfAwait() };
    }
    return {
      what: `its thread ended: ${textOf(failure ?? "for no known reason", maxWhyChars)}`,
      position: undefined,
    };
  }

  const thread: CheckerThread = {
    send: (request) => port.postMessage(request, [request.bytes.buffer as ArrayBuffer]),
    progress: () => ({ number: Atomics.load(progress, 0), index: Atomics.load(progress, 1) }),
    async end() {
      isEnding = true;
      cancelTimer();
      void worker.terminate();
      await ended.promise;
    },
  };
  port.on("message", onMessage);
  worker.on("error", (error) => {
    failure = error;
  });
  worker.on("exit", onExit);
  return started.promise;
}
