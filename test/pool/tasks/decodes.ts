import { BroadcastChannel, type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { defineTask } from "../../../src/pool/task.ts";

/** Its input takes until the test, which is told on the channel `decodes`, says something there. */
export default defineTask({
  name: "decodes",
  pool: "tried",
  input: {
    "~standard": {
      version: 1,
      vendor: "test",
      validate(value: unknown) {
        if (value === undefined) return { value }; // no job's: it is tried once when it is loaded
        const channel = new BroadcastChannel("decodes");
        channel.postMessage("decoding");
        while (receiveMessageOnPort(channel as unknown as MessagePort) === undefined); // Node takes either, its types do not
        channel.close();
        return { value };
      },
    },
  },
  run(_, { log }) {
    log.info("begun");
    return null;
  },
});
