/** A store that can be unavailable, as a database on another machine can. */
import { refusal } from "../../src/errors.ts";
import { createSignal } from "../../src/lifecycle.ts";
import type { Store, StoreCalls } from "../../src/store/store.ts";

export type AwayStore = {
  readonly store: Store;
  /**
   * `asks`: calls do not reach it. `answers`: they do, and only their answers are lost. `silent`: they go on
   * when `answer` is called. Null: it is there again. `names`: these calls alone.
   */
  lose(what: Lost, ...names: readonly (keyof StoreCalls)[]): void;
  answer(): void;
};

type Lost = "asks" | "answers" | "silent" | null;

export const retryAfterMs = 1_000;

export function createAwayStore(inner: Store): AwayStore {
  let lost: Lost = null;
  let only: readonly string[] = [];
  const answered = createSignal();
  const away = () => refusal("store_unavailable", ["the connection was closed", retryAfterMs], { retryAfterMs });
  const calls = Object.entries(inner).map(([name, value]) => {
    if (typeof value !== "function" || name === "subscribe") return [name, value];
    const call = async (request: never) => {
      if (only.length > 0 && !only.includes(name)) return (value as (request: never) => Promise<unknown>)(request);
      if (lost === "silent") await answered.promise;
      if (lost === "asks") throw away();
      const answer: unknown = await (value as (request: never) => Promise<unknown>)(request);
      if (lost === "answers") throw away();
      return answer;
    };
    return [name, call];
  });
  return {
    store: Object.fromEntries(calls) as Store,
    lose(what, ...names) {
      lost = what;
      only = names;
    },
    answer: answered.fire,
  };
}
