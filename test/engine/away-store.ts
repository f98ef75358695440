/** A store that can be unavailable, as a database on another machine can. */
import { refusal } from "../../src/errors.ts";
import type { Store } from "../../src/store/store.ts";

export type AwayStore = {
  readonly store: Store;
  /**
   * `asks`: calls do not reach it. `answers`: they do, and only their answers are lost. Null: it is there again.
   */
  lose(what: "asks" | "answers" | null): void;
};

export const retryAfterMs = 1_000;

export function createAwayStore(inner: Store): AwayStore {
  let lost: "asks" | "answers" | null = null;
  const away = () => refusal("store_unavailable", ["the connection was closed", retryAfterMs], { retryAfterMs });
  const calls = Object.entries(inner).map(([name, value]) => {
    if (typeof value !== "function" || name === "subscribe") return [name, value];
    const call = async (request: never) => {
      if (lost === "asks") throw away();
      const answer: unknown = await (value as (request: never) => Promise<unknown>)(request);
      if (lost === "answers") throw away();
      return answer;
    };
    return [name, call];
  });
  return {
    store: Object.fromEntries(calls) as Store,
    lose(what) {
      lost = what;
    },
  };
}
