"""A verifier that lives long: PyJWT with its PyJWKClient, as its documentation has it."""

import json
import sys
import urllib.request

import jwt

issuer, audience = sys.argv[1:]
with urllib.request.urlopen(f"{issuer}/.well-known/openid-configuration") as response:
    metadata = json.load(response)
assert metadata["issuer"] == issuer
jwks = jwt.PyJWKClient(metadata["jwks_uri"])
print("ready", flush=True)
for line in sys.stdin:
    token = line.strip()
    try:
        jwt.decode(
            token,
            jwks.get_signing_key_from_jwt(token),
            algorithms=metadata["id_token_signing_alg_values_supported"],
            audience=audience,
            issuer=issuer,
        )
        print("ok", flush=True)
    except jwt.PyJWTError as error:
        print("error", repr(error), flush=True)
