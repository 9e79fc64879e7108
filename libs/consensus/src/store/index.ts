/** What stores behind a StoreLink have in common, for backends that keep one of their own. */
export { sameBytes } from "../bytes.ts";
export { detached } from "../detached.ts";
export { isSealed } from "../records.ts";
export { createSignal, type Signal } from "../signal.ts";
export { createByteReader, MalformedBytesError } from "../single/byte-reader.ts";
export { type ByteWriter, createByteWriter } from "../single/byte-writer.ts";
export { createHistory, type History } from "./history.ts";
