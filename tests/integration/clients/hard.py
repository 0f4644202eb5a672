"""A webhook whose result is hard to pass on unchanged."""

# A whole number beyond 2^53, both separators that JavaScript once took for line breaks, an emoji, and a mebibyte.
RESULT = (
    '{"seed":12345678901234567890,"exact":1.10,"text":"a\u2028b\u2029c \U0001f680 \\u2028 \\n","long":"'
    + "x" * 2**20
    + '"}'
)
WEBHOOK = f'{{"request_id":"job-1","status":"OK","payload":{RESULT}}}'.encode()
