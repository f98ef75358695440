import { constants, type ServerHttp2Stream } from "node:http2";

/** Ends a stream of HTTP/2 with advice to slow down; gRPC clients see RESOURCE_EXHAUSTED. */
export function cutStream(stream: ServerHttp2Stream): void {
  stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  stream.destroy(); // or it would keep what came and was not read
}
