/** Converts inputs and outputs between the protocol and the stored form. */
import { create, fromJson, toJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { GivenInput } from "../../engine/admit/input.ts";
import { messageOf } from "../../errors.ts";
import { type Payload as WirePayload, PayloadSchema } from "../../gen/millpond/v1/job_pb.ts";
import type { JsonValue, Payload } from "../../job/job.ts";
import { unreadJson } from "../unread-json.ts";

const decoder = new TextDecoder();
const typePrefix = "type.googleapis.com/";

export function toInput(payload: WirePayload | undefined): GivenInput {
  const content = payload?.content;
  switch (content?.case) {
    case "message": {
      const { typeUrl, value } = content.value;
      return { kind: "message", type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1), bytes: value };
    }
    case "json":
      return toJsonInput(content.value);
    case "data":
      return { kind: "data", bytes: content.value };
    default:
      return payload ? toUnreadInput(payload) : null;
  }
}

function toUnreadInput(payload: WirePayload): GivenInput {
  try {
    const value = unreadJson(payload);
    return value === undefined ? null : { kind: "json", value };
  } catch (error) {
    return { kind: "unreadable", why: messageOf(error) };
  }
}

/** A `Value` may hold what JSON cannot, such as NaN or no kind at all: only this job is refused then, not the whole request. */
function toJsonInput(value: Value): GivenInput {
  try {
    return { kind: "json", value: toJson(ValueSchema, value) };
  } catch (error) {
    return { kind: "unreadable", why: messageOf(error) };
  }
}

export function fromPayload(payload: Payload): WirePayload {
  const { kind, type, bytes } = payload;
  switch (kind) {
    case "message":
      return create(PayloadSchema, {
        content: { case: "message", value: { typeUrl: typePrefix + type, value: bytes } },
      });
    case "json": {
      const value = fromJson(ValueSchema, JSON.parse(decoder.decode(bytes)) as JsonValue);
      return create(PayloadSchema, { content: { case: "json", value } });
    }
    case "data":
      return create(PayloadSchema, { content: { case: "data", value: bytes } });
  }
}
