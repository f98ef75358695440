/** The protocol's numbers as words. */
import { LogLevel, ProfileRequest_Kind } from "../../src/gen/millpond/v1/admin_pb.ts";
import { AttemptOutcome, DeadReason, JobState, RetryPolicy_Jitter } from "../../src/gen/millpond/v1/job_pb.ts";
import {
  CancelAnswer_Kind,
  DeleteAnswer_Kind,
  ExplainJobResponse_Cause,
  LogLine_Level,
  RedriveAnswer_Kind,
} from "../../src/gen/millpond/v1/worker_pool_pb.ts";

/** Where a job stands; the last three never change again, unless the job is redriven. */
export type JobStateName = Named<typeof JobState>;
/** Why a job is DEAD. */
export type DeadReasonName = Lowercase<Named<typeof DeadReason>>;
/** How an attempt ended. `lost`: its process or its worker died. */
export type OutcomeName = Lowercase<Named<typeof AttemptOutcome>>;
/** Why a job is not running now. */
export type CauseName = Lowercase<Named<typeof ExplainJobResponse_Cause>>;
/** How much a line of a log matters. */
export type LogLevelName = Lowercase<Named<typeof LogLine_Level>>;
/** The least serious lines of a log that are written. */
export type LogThresholdName = Lowercase<Named<typeof LogLevel>>;
/** What a profile shows. */
export type ProfileKindName = Lowercase<Named<typeof ProfileRequest_Kind>>;
/** How delays between attempts vary. */
export type JitterName = Lowercase<Named<typeof RetryPolicy_Jitter>>;
/** What became of a job that was to be cancelled. */
export type CancelKind = Lowercase<Named<typeof CancelAnswer_Kind>>;
/** What became of a job that was to be redriven. */
export type RedriveKind = Lowercase<Named<typeof RedriveAnswer_Kind>>;
/** What became of a job that was to be deleted. */
export type DeleteKind = Lowercase<Named<typeof DeleteAnswer_Kind>>;

/** The names of an enum without the one for "not set". */
type Named<E> = Exclude<keyof E & string, "UNSPECIFIED">;

export const stateNames: ReadonlyMap<JobState, JobStateName> = namesOf(JobState, (name) => name);
export const deadReasonNames: ReadonlyMap<DeadReason, DeadReasonName> = namesOf(DeadReason, lower);
export const outcomeNames: ReadonlyMap<number, OutcomeName> = namesOf(AttemptOutcome, lower);
export const causeNames: ReadonlyMap<number, CauseName> = namesOf(ExplainJobResponse_Cause, lower);
export const logLevelNames: ReadonlyMap<number, LogLevelName> = namesOf(LogLine_Level, lower);
export const logThresholdNames: ReadonlyMap<LogLevel, LogThresholdName> = namesOf(LogLevel, lower);
export const profileKindNames: ReadonlyMap<ProfileRequest_Kind, ProfileKindName> = namesOf(ProfileRequest_Kind, lower);
export const jitterNames: ReadonlyMap<RetryPolicy_Jitter, JitterName> = namesOf(RetryPolicy_Jitter, lower);
export const cancelKinds: ReadonlyMap<number, CancelKind> = namesOf(CancelAnswer_Kind, lower);
export const redriveKinds: ReadonlyMap<number, RedriveKind> = namesOf(RedriveAnswer_Kind, lower);
export const deleteKinds: ReadonlyMap<number, DeleteKind> = namesOf(DeleteAnswer_Kind, lower);

function namesOf<E extends { readonly [name: string]: number }, N extends string>(
  numbers: E,
  rename: (name: Named<E>) => N,
): Map<E[keyof E], N> {
  const named = Object.entries(numbers).filter(([name]) => name !== "UNSPECIFIED");
  return new Map(named.map(([name, number]) => [number as E[keyof E], rename(name as Named<E>)]));
}

function lower<N extends string>(name: N): Lowercase<N> {
  return name.toLowerCase() as Lowercase<N>;
}
