export { type EncodingFigures, measureEncoding } from "./measure-encoding.ts";
export { measureStream, type StreamFigures, type StreamWork } from "./measure-stream.ts";
