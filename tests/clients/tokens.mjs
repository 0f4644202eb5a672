// Signs tokens with the libraries that identity providers and their users use. Reads a list of
// {library, header, claims, key} from standard input, each key a private JWK; prints the tokens as a list.
import { createPrivateKey } from "node:crypto";
import { text } from "node:stream/consumers";
import { importJWK, SignJWT } from "jose";
import jsonwebtoken from "jsonwebtoken";

const makers = {
  jose: async ({ header, claims, key }) =>
    new SignJWT(claims).setProtectedHeader(header).sign(await importJWK(key, header.alg)),
  jsonwebtoken: async ({ header, claims, key }) => {
    const secret = key.kty === "oct" ? Buffer.from(key.k, "base64url") : createPrivateKey({ key, format: "jwk" });
    return jsonwebtoken.sign(claims, secret, { algorithm: header.alg, header });
  },
};

const wanted = JSON.parse(await text(process.stdin));
console.log(JSON.stringify(await Promise.all(wanted.map((each) => makers[each.library](each)))));
