export { type CodecChoice, chooseCodec, type LoadedCodecs, loadCodecs } from "./codecs.ts";
export { crc32c } from "./crc32c.ts";
