import {
  DbBatchInputSchema,
  DbBatchOutputSchema,
  DbExecuteInputSchema,
  DbExecuteOutputSchema,
  DbQueryInputSchema,
  DbQueryOutputSchema,
} from "../../src/gen/millpond/tasks/v1/db_pb.ts";
import {
  FailInputSchema,
  FailOutputSchema,
  SleepInputSchema,
  SleepOutputSchema,
} from "../../src/gen/millpond/tasks/v1/diagnostic_pb.ts";
import { EmailSendInputSchema, EmailSendOutputSchema } from "../../src/gen/millpond/tasks/v1/email_pb.ts";
import { ImageResizeInputSchema, ImageResizeOutputSchema } from "../../src/gen/millpond/tasks/v1/image_pb.ts";

/** Makes a smaller (or other) picture of a picture. */
export const imageResize = {
  name: "image.resize",
  input: ImageResizeInputSchema,
  output: ImageResizeOutputSchema,
} as const;

/** Sends one mail through an SMTP server that the server of Millpond has in its configuration. */
export const emailSend = { name: "email.send", input: EmailSendInputSchema, output: EmailSendOutputSchema } as const;

/** Reads rows from a database of the server's configuration. */
export const dbQuery = { name: "db.query", input: DbQueryInputSchema, output: DbQueryOutputSchema } as const;

/** Runs a statement that writes. */
export const dbExecute = { name: "db.execute", input: DbExecuteInputSchema, output: DbExecuteOutputSchema } as const;

/** Runs a statement that writes once for each set of parameters, all in one transaction. */
export const dbBatch = { name: "db.batch", input: DbBatchInputSchema, output: DbBatchOutputSchema } as const;

/** Does nothing for a while, then succeeds. */
export const sleep = { name: "sleep", input: SleepInputSchema, output: SleepOutputSchema } as const;

/** Fails in the way that its input says. */
export const fail = { name: "fail", input: FailInputSchema, output: FailOutputSchema } as const;

/** Gives back what it gets: any JSON, or bytes. */
export const echo = { name: "echo" } as const;
