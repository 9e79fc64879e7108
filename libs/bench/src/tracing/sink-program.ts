/** A collector that takes everything and keeps nothing: prints its port. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

let exports = 0;
const server = createServer((request, response) => {
  if (request.url === "/exports") {
    response.end(String(exports));
    return;
  }
  exports += 1;
  request.resume();
  request.on("end", () => response.writeHead(200, { "content-type": "application/x-protobuf" }).end());
});
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
process.on("disconnect", () => process.exit(0));
