import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import { conformance } from "./conformance.ts";

conformance("sqlite store", async () => {
  const directory = await mkdtemp(join(tmpdir(), "millpond-store-"));
  const open = () => openSqliteStore({ path: join(directory, "jobs.db"), onFailure: (error) => assert.fail(error) });
  let store = await open();
  return {
    store,
    reopen: async () => {
      await store.close();
      store = await open();
      return store;
    },
    discard: async () => {
      await store.close();
      await rm(directory, { recursive: true });
    },
  };
});
