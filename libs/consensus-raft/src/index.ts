export { RaftOpenError, type RaftOpenErrorCode } from "./storage/errors.ts";
export { type FormatOptions, formatDirectory } from "./storage/format.ts";
export { openStorage } from "./storage/open-storage.ts";
