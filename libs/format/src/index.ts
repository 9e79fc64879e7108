export { type DecodedRecords, type DecodeLimits, decodeBatches } from "./decode.ts";
export { type EncodedRecords, type EncodeRules, encodeRecords } from "./encode.ts";
export { type RecordFormat, toFetched } from "./fetched.ts";
export { bytesToJson, jsonToBytes } from "./json.ts";
export { murmur2, partitionOfKey } from "./partitioner.ts";
export { type ChosenCodec, chooseCodec, produceProblem, splitByPartition } from "./produce-request.ts";
export { keyOf, type Produced, toProduced } from "./produced.ts";
export { bytesToText, textToBytes } from "./text.ts";
export { shownTimestamp } from "./timestamp.ts";
