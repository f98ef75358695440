import { BroadcastChannel, isMainThread, type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { defineTask } from "../../../src/pool/task.ts";

const task = defineTask({
  name: "decodes",
  pool: "tried",
  run(_, { log }) {
    log.info("begun");
    return null;
  },
});

/** In a worker its input takes until the test, which hears of it on the channel `decodes`, says something there. */
export default Object.defineProperty({ ...task }, "input", {
  get() {
    if (isMainThread) return; // it is loaded, not run
    const channel = new BroadcastChannel("decodes");
    channel.postMessage("decoding");
    while (receiveMessageOnPort(channel as unknown as MessagePort) === undefined); // Node takes either, its types do not
    channel.close();
  },
});
