/** A task for a pool of its own, whose threads die when a test wants them to. */
import { defineTask } from "../../../src/pool/task.ts";

export default defineTask({ name: "fragile", pool: "fragile", description: "Does nothing.", run: () => null });
