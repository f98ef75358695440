/** The transport-free services: every front end calls the same functions. */
import { create } from "@bufbuild/protobuf";
import type { Explain } from "../engine/watch/explain.ts";
import { Health } from "../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1Alpha } from "../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { AdminService } from "../gen/millpond/v1/admin_pb.ts";
import { StatsResponseSchema, WorkerPoolService } from "../gen/millpond/v1/worker_pool_pb.ts";
import { type AdminParts, createAdmin } from "./admin.ts";
import { cancelJobs } from "./cancel-jobs.ts";
import { type DeadLettersParts, deleteJobs, redriveJobs } from "./dead-letters.ts";
import { exchange, type ExchangeParts } from "./exchange.ts";
import { fromExplanation } from "./explain-job.ts";
import { getJob, jobNotFound, type JobParts, showJob } from "./find-job.ts";
import { createHealth, type HealthParts, takesJobs, takesNoJobs } from "./health.ts";
import { listDeadLetters, listJobs, type ListParts } from "./list-jobs.ts";
import { describeTasks } from "./list-tasks.ts";
import type { DescribedFiles } from "./reflection/described-files.ts";
import type { Lookups } from "./reflection/lookups.ts";
import { createReflection } from "./reflection/reflection.ts";
import { ackResults, results, type ResultsParts } from "./results.ts";
import { run, type RunParts } from "./run.ts";
import { type Implementation, type Served, served } from "./served.ts";
import { takeSnapshot } from "./snapshot.ts";
import { submit, type SubmitParts } from "./submit.ts";
import { watchJob, type WatchParts } from "./watch-job.ts";
import { createStatsWatch, type StatsWatchParts } from "./watch-stats.ts";

export type ServiceParts = SubmitParts &
  ExchangeParts &
  ResultsParts &
  StatsWatchParts &
  RunParts &
  JobParts &
  WatchParts &
  AdminParts &
  HealthParts &
  DeadLettersParts &
  Pick<ListParts, "store"> & {
    readonly explain: Explain;
    readonly described: () => DescribedFiles;
    readonly lookups: () => Lookups;
  };

/** Creates every service of the server. */
export function createService(parts: ServiceParts): readonly Served[] {
  const names = new Map(
    [
      [WorkerPoolService, takesJobs] as const,
      ...[AdminService, Health, ServerReflection, ServerReflectionV1Alpha].map((each) => [each, takesNoJobs] as const),
    ].map(([{ typeName }, reasons]) => [typeName, reasons]),
  );
  const reflection = createReflection(parts.lookups, [...names.keys()], parts.closing);
  return [
    served(WorkerPoolService, createWorkerPool(parts)),
    served(AdminService, createAdmin(parts)),
    served(Health, createHealth(parts, names)),
    served(ServerReflection, reflection.v1),
    served(ServerReflectionV1Alpha, reflection.v1alpha),
  ];
}

function createWorkerPool(parts: ServiceParts): Implementation<typeof WorkerPoolService> {
  const { canceller, deadLetters, explain, clock } = parts;
  const listParts: ListParts = { ...parts, showJob: (job) => showJob(parts, job) };

  return {
    submit: (request, call) => submit(parts, request, call),
    exchange: (requests, call) => exchange(parts, requests, call),
    results: (request, call) => results(parts, request, call),
    ackResults: (request, call) => ackResults(parts, request, call),
    getJob: (request, call) => getJob(parts, request, call),
    listJobs: (request, { client }) => listJobs(listParts, client, request),
    async stats(_request, { client }) {
      return create(StatsResponseSchema, { snapshot: await takeSnapshot(parts, client) });
    },
    watchStats: createStatsWatch(parts),
    run: (request, call) => run(parts, request, call),
    cancelJobs: async (request, call) => cancelJobs(canceller, request, call),
    watchJob: (request, call) => watchJob(parts, request, call),
    async explainJob({ jobId }, { client }) {
      const explanation = await explain(client, jobId.toLowerCase());
      if (!explanation) throw jobNotFound(jobId);
      return fromExplanation(explanation, clock.now());
    },
    listDeadLetters: (request, { client }) => listDeadLetters(listParts, client, request),
    redriveJobs: (request, call) => redriveJobs(parts, request, call),
    deleteJobs: (request, call) => deleteJobs(deadLetters, request, call),
    async listTasks() {
      return describeTasks(parts.tasks(), parts.described());
    },
  };
}
