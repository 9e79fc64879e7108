export { type RecordFormat, toFetched } from "./fetched.ts";
export { bytesToJson, jsonToBytes } from "./json.ts";
export { murmur2, partitionOfKey } from "./partitioner.ts";
export { keyOf, type Produced, toProduced } from "./produced.ts";
export { bytesToText, textToBytes } from "./text.ts";
