/**
 * Asks a process's main thread, through Node's inspector, what it really holds: its resident memory is that and whatever
 * the collector and the allocator have not given back yet.
 */
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";

export type LiveMemory = {
  /** Collects garbage; resolves with the MiB of objects and buffers that are left. */
  measure(): Promise<number>;
  close(): void;
};

/** A port that is free now, and the flag that makes a process listen there for the inspector, on loopback only. */
export async function inspectable(): Promise<{ readonly port: number; readonly flag: string }> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return { port, flag: `--inspect=127.0.0.1:${port}` };
}

const mebibyte = 2 ** 20;
const expression = "(({ heapUsed, external }) => heapUsed + external)(process.memoryUsage())";

export async function openLiveMemory(port: number): Promise<LiveMemory> {
  const [target] = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as [
    { readonly webSocketDebuggerUrl: string },
  ];
  const socket = new WebSocket(target.webSocketDebuggerUrl);
  await once(socket, "open");
  const answers = new Map<number, (answer: unknown) => void>();
  socket.addEventListener("message", ({ data }) => {
    const { id, result } = JSON.parse(String(data)) as { readonly id?: number; readonly result?: unknown };
    if (id !== undefined) answers.get(id)?.(result);
  });
  let asked = 0;
  const ask = (method: string, params = {}) =>
    new Promise<unknown>((resolve) => {
      asked += 1;
      answers.set(asked, resolve);
      socket.send(JSON.stringify({ id: asked, method, params }));
    });

  return {
    async measure() {
      await ask("HeapProfiler.collectGarbage");
      const answer = await ask("Runtime.evaluate", { expression, returnByValue: true });
      return (answer as { readonly result: { readonly value: number } }).result.value / mebibyte;
    },
    close: () => socket.close(),
  };
}
