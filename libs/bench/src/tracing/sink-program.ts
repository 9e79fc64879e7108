/** A collector that takes everything and keeps nothing but how many spans came: tells its port. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { countSpans } from "@tidemark/testkit";

let count = 0;
const server = createServer((request, response) => {
  if (request.method === "GET") {
    response.end(JSON.stringify(count));
    return;
  }
  const pieces: Buffer[] = [];
  request.on("data", (piece: Buffer) => pieces.push(piece));
  request.on("end", () => {
    count += countSpans(Buffer.concat(pieces));
    response.writeHead(200, { "content-type": "application/x-protobuf" }).end();
  });
});
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
process.on("disconnect", () => process.exit(0));
