// SPDX-License-Identifier: Apache-2.0
//
// An S3 server on loopback:   node s3.mjs DIRECTORY [PORT [KEY CERTIFICATE]]
// Prints its port once it listens. Access key and secret: S3RVER. Bucket: weft.
//
// s3rver takes any Signature Version 4 for good, so signatures are checked here, from
// Amazon's description of them. It also writes objects in place, which S3 does not:
// requests for the same object wait for each other.
import crypto from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(new URL("../../build/npm/s3/", import.meta.url));
const SECRET = "S3RVER";

// Its continuation tokens are made with DES, which the OpenSSL of today does not have.
const commonCrypto = require("node:crypto");
for (const name of ["createCipheriv", "createDecipheriv"]) {
    const original = commonCrypto[name];
    commonCrypto[name] = (cipher, key, iv) =>
        cipher === "des"
            ? original("des-ede3-cbc", Buffer.concat([key, key, key]), iv)
            : original(cipher, key, iv);
}
const S3rver = require("s3rver");

const hmac = (key, text) => crypto.createHmac("sha256", key).update(text).digest();
const sha256 = (text) => crypto.createHash("sha256").update(text).digest("hex");
const encode = (text) =>
    encodeURIComponent(text).replace(
        /[!'()*]/g,
        (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase(),
    );

function canonicalQuery(query) {
    return query
        .split("&")
        .filter((part) => part !== "")
        .map((part) => part.split("=").map(decodeURIComponent))
        .map(([name, value]) => encode(name) + "=" + encode(value ?? ""))
        .sort()
        .join("&");
}

function isSigned(request) {
    const pattern =
        "^AWS4-HMAC-SHA256 Credential=([^/]+)/(\\d{8})/([^/]+)/s3/aws4_request, ?" +
        "SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$";
    const found = new RegExp(pattern).exec(request.headers.authorization ?? "");
    if (found === null || found[1] !== "S3RVER") return false;
    const [, , date, region, names, signature] = found;
    const headers = names.split(";");
    if (!headers.includes("host") || !headers.includes("x-amz-content-sha256")) return false;
    const [path, query] = request.url.split("?");
    const canonical = [
        request.method,
        path,
        canonicalQuery(query ?? ""),
        ...headers.map((name) => `${name}:${(request.headers[name] ?? "").trim()}`),
        "",
        names,
        request.headers["x-amz-content-sha256"],
    ].join("\n");
    const scope = `${date}/${region}/s3/aws4_request`;
    const text = ["AWS4-HMAC-SHA256", request.headers["x-amz-date"], scope, sha256(canonical)];
    let key = hmac("AWS4" + SECRET, date);
    for (const part of [region, "s3", "aws4_request"]) key = hmac(key, part);
    return hmac(key, text.join("\n")).toString("hex") === signature;
}

const locks = new Map();
async function alone(context, next) {
    const before = locks.get(context.path) ?? Promise.resolve();
    const over = new Promise((resolve) => context.res.once("close", resolve));
    locks.set(context.path, before.then(() => over));
    await before;
    return next();
}

const [directory, port, key, certificate] = process.argv.slice(2);
const server = new S3rver({
    address: "127.0.0.1",
    port: Number(port ?? 0),
    silent: true,
    directory,
    ...(key ? { key: readFileSync(key), cert: readFileSync(certificate) } : {}),
    configureBuckets: [{ name: "weft" }],
});
server.middleware.unshift(alone, async (context, next) => {
    if (isSigned(context.req)) return next();
    context.status = 403;
    context.body = "<Error><Code>SignatureDoesNotMatch</Code></Error>";
});
const address = await server.run();
console.log(address.port);
// Whoever started it ends it; if that one dies first, it ends by itself.
process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
