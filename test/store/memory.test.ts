import { createMemoryStore } from "../../src/store/memory.ts";
import { conformance } from "./conformance.ts";

conformance("memory store", async () => {
  const store = createMemoryStore();
  return { store, reopen: "it forgets everything when it is closed", discard: () => store.close() };
});
