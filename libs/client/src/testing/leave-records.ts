/** A program that ends with records that it did not wait for: as many as its first argument says. */
import { createClient } from "../index.ts";

const client = await createClient({ bootstrap: "127.0.0.1:1" });
const producer = client.createProducer();
const count = Number(process.argv[2]);
// Nobody waits for them: that is what is to be told.
Promise.all(Array.from({ length: count }, () => producer.send("t", { value: "v", partition: 0 }))).catch(
  () => undefined,
);
process.exit();
