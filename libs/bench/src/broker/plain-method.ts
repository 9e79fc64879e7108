/** A call of bytes for bytes, as grpc-js defines it. */
export function plainMethod(name: string) {
  const same = (bytes: Buffer) => bytes;
  return {
    path: `/plain.Plain/${name}`,
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}
