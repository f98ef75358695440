/** Fetches a picture and makes it small; a server that is busy is asked again. */
import sharp from "sharp";
import { defineTask, TaskError } from "../../../src/pool/task.ts";

export default defineTask({
  name: "thumbnail",
  pool: "io",
  description: "Fetches a picture and makes it small.",
  retry: { maxAttempts: 3, baseMs: 20, maxBackoffMs: 20, jitter: "none" },
  async run(input, ctx) {
    const { url, width } = input as { readonly url: string; readonly width: number };
    const picture = await ctx.span("download", async () => {
      const response = await fetch(url, { headers: { ...ctx.trace } });
      if (!response.ok) {
        throw new TaskError("picture_server_busy", `the server of pictures answers with ${response.status}`, {
          retryable: true,
        });
      }
      return new Uint8Array(await response.arrayBuffer());
    });
    return await ctx.span("resize", async () => {
      const decoded = await ctx.span("decode", () => sharp(picture).raw().toBuffer({ resolveWithObject: true }));
      const { width: from, height, channels } = decoded.info;
      const raw = { width: from, height, channels };
      const scaled = await ctx.span("scale", () =>
        sharp(decoded.data, { raw }).resize({ width }).raw().toBuffer({ resolveWithObject: true }),
      );
      const small = { width: scaled.info.width, height: scaled.info.height, channels: scaled.info.channels };
      const encoded = await ctx.span("encode", () => sharp(scaled.data, { raw: small }).jpeg().toBuffer());
      return { ...small, sizeBytes: encoded.length };
    });
  },
});
