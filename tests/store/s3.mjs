// SPDX-License-Identifier: Apache-2.0
//
// An S3 server on loopback:   node s3.mjs DIRECTORY [PORT]
// Prints its port once it listens. Access key and secret: S3RVER. Bucket: weft.
import { createRequire } from "node:module";

const require = createRequire(new URL("../../build/npm/s3/", import.meta.url));
const S3rver = require("s3rver");
const [directory, port] = process.argv.slice(2);
const server = new S3rver({
    address: "127.0.0.1",
    port: Number(port ?? 0),
    silent: true,
    directory,
    configureBuckets: [{ name: "weft" }],
});
const address = await server.run();
console.log(address.port);
// Whoever started it ends it; if that one dies first, it ends by itself.
process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
