/** The code under test: that of this tree, or a copy of it in which a bug was planted. */
import { createDraining } from "../../../src/engine/upkeep/draining.ts";
import { createEngine } from "../../../src/engine/engine.ts";
import { createShutdown } from "../../../src/server/shutdown.ts";
import { createMemoryStore } from "../../../src/store/memory.ts";

export type Code = {
  readonly createEngine: typeof createEngine;
  readonly createDraining: typeof createDraining;
  readonly createShutdown: typeof createShutdown;
  readonly createMemoryStore: typeof createMemoryStore;
};

export const ownCode: Code = { createEngine, createDraining, createShutdown, createMemoryStore };
