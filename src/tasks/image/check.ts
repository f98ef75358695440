import type { FieldViolation } from "../../errors.ts";
import { ImageFit, ImageFormat, type ImageResizeInput } from "../../gen/millpond/tasks/v1/image_pb.ts";
import { faultOfPath } from "./files.ts";
import { type ImageSettings, maxSide } from "./settings.ts";
import { faultOfSuffix } from "./target.ts";

/**
 * Checks the fields of an input without touching a file. A target that is too wide passes here and fails its job,
 * because that limit belongs to the server, not to the contract.
 */
export function checkInput(input: ImageResizeInput, settings: ImageSettings): FieldViolation[] {
  const { source, width, height, fit, format, quality, outputPath } = input;
  const violations: FieldViolation[] = [];
  const add = (field: string, description: string) => violations.push({ field, description });

  if (source.case === undefined) add("source", "is missing: give bytes or path");
  if (source.case === "bytes" && source.value.byteLength === 0) add("bytes", "is empty");
  if (source.case === "path") addPath("path", source.value);
  if (width === 0 && height === 0) add("width", "is missing: give width, height, or both");
  if (height > maxSide) add("height", `is ${height} and must be 0 to ${maxSide}`);
  if (!Object.values<number>(ImageFit).includes(fit)) add("fit", `is ${fit}, which is not a known fit`);
  if (quality > 100) add("quality", `is ${quality} and must be 0 to 100`);
  if (!Object.values<number>(ImageFormat).includes(format)) add("format", `is ${format}, which is not a known format`);
  if (outputPath !== "") addPath("outputPath", outputPath, faultOfSuffix(input));
  if (outputPath !== "" && source.case === "path" && source.value === outputPath) {
    add("outputPath", "must differ from path: a second attempt would resize what the first one wrote");
  }
  return violations;

  function addPath(field: string, path: string, faultOfName?: string): void {
    const fault = settings.root === undefined ? noRoot : (faultOfPath(path) ?? faultOfName);
    if (fault !== undefined) add(field, fault);
  }
}

const noRoot = "files are not served here: send bytes, or set tasks.image.resize.root";
