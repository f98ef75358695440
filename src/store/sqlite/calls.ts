import type { StoreCalls } from "../store.ts";
import type { Batches } from "./batches.ts";
import { fromJob, fromSettlement, toLease, toResult } from "./rows.ts";

const same = <T>(value: T): T => value;

/** The port's calls as commands in batches; all but `close`. */
export function createCalls({ call }: Batches): Omit<StoreCalls, "close"> {
  return {
    submit: (jobs) =>
      call(
        "submit",
        (bytes) => jobs.map((job) => fromJob(job, bytes)),
        (answers) => answers.map((answer) => answer ?? { kind: "accepted" }),
      ),
    lease: (request) =>
      call(
        "lease",
        () => request,
        ({ leases, nextDueAt }, bytes) => ({ leases: leases.map((cells) => toLease(cells, bytes)), nextDueAt }),
      ),
    extend: (request) => call("extend", () => request, same),
    settle: (settlements) =>
      call("settle", (bytes) => settlements.map((settlement) => fromSettlement(settlement, bytes)), same),
    expired: (request) =>
      call(
        "expired",
        () => request,
        (found, bytes) => found.map(({ lease, ...rest }) => ({ ...toLease(lease, bytes), ...rest })),
      ),
    recover: (request) => call("recover", () => request, same),
    cancel: (request) => call("cancel", () => request, same),
    redrive: (request) => call("redrive", () => request, same),
    remove: (request) => call("remove", () => request, same),
    get: (request) => call("get", () => request, same),
    states: (request) => call("states", () => request, same),
    list: (request) => call("list", () => request, same),
    find: (request) => call("find", () => request, same),
    ahead: (request) => call("ahead", () => request, same),
    results: (request) =>
      call(
        "results",
        () => request,
        ({ results, ...positions }, bytes) => ({
          results: results.map((cells) => toResult(cells, bytes)),
          ...positions,
        }),
      ),
    ack: (requests) => call("ack", () => requests, same),
    prune: (request) => call("prune", () => request, same),
    counts: () => call("counts", () => null, same),
    latest: () => call("latest", () => null, same),
    size: () => call("size", () => null, same),
    oldest: (request) => call("oldest", () => request, same),
  };
}
