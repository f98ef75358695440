/** A process of the bench's own that answers calls: both ends of the line. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";

/** What a child can be asked to do. Options and answers cross by structured clone. */
export type Calls = { readonly [name: string]: (options: never) => Promise<unknown> };

export type Child<C extends Calls> = {
  readonly pid: number;
  /** One call at a time. Rejects with the child's error, when it ends, or after `limitMs`. */
  call<K extends keyof C & string>(
    name: K,
    options: Parameters<C[K]>[0],
    limitMs: number,
  ): Promise<Awaited<ReturnType<C[K]>>>;
  /** Ends the process. Safe to repeat. */
  stop(): Promise<void>;
};

type Answer = { readonly value: unknown } | { readonly error: string };

/** Starts `file` as a process; it has to call `answerCalls`. */
export function startChild<C extends Calls>(file: string, nodeFlags: readonly string[] = []): Child<C> {
  const child = fork(file, { serialization: "advanced", execArgv: [...nodeFlags], stdio: ["ignore", 2, 2, "ipc"] });
  const exited = once(child, "exit");
  const gone = exited.then(([code, signal]) => {
    throw new Error(`the process of ${file} ended with ${code ?? signal}`);
  });
  gone.catch(() => undefined); // a call that waits sees it; when none does, it was asked to end
  return {
    pid: child.pid as number,
    call: async (name, options, limitMs) => {
      const limit = Promise.withResolvers<never>();
      const timer = setTimeout(() => limit.reject(new Error(`${name} took longer than ${limitMs} ms`)), limitMs);
      try {
        child.send({ name, options });
        const [answer] = (await Promise.race([once(child, "message"), gone, limit.promise])) as [Answer];
        if ("error" in answer) throw new Error(answer.error);
        return answer.value as never;
      } finally {
        clearTimeout(timer);
      }
    },
    stop: () => stop(child, exited),
  };
}

/** Answers calls until the parent goes away. */
export function answerCalls(calls: Calls): void {
  const answer = async (name: string, options: never): Promise<Answer> => {
    try {
      return { value: await calls[name]?.(options) };
    } catch (error) {
      return { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
    }
  };
  process.on("message", ({ name, options }: { readonly name: string; readonly options: never }) => {
    void answer(name, options).then((said) => process.connected && process.send?.(said));
  });
  process.on("disconnect", () => process.exit(0));
}

/** How long a process may take to end when it is asked to. */
const endMs = 10_000;

async function stop(child: ChildProcess, exited: Promise<unknown>): Promise<void> {
  const timer = setTimeout(() => child.kill("SIGKILL"), endMs);
  if (child.connected) child.disconnect();
  await exited;
  clearTimeout(timer);
}
